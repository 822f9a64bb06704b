"""Run of transformations on plain rows, as snapshots are built: by their compiled SQL."""

import functools
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import ibis
import pyarrow as pa

from feature_repo.source_tables import apply_transformation, transformation_sql
from feature_repo.transformations import BUILDERS
from holdfast.feature_store.transformation_run import create_source_tables, run_transformation


@functools.cache
def _compile(name: str) -> tuple[str, dict[str, pa.DataType]]:
    """Return the SQL of a view and the type of each column."""
    types = apply_transformation(BUILDERS[name]).schema().to_pyarrow()
    return transformation_sql(BUILDERS[name]), {field.name: field.type for field in types}


def run_builders(
    connection: Any, names: Iterable[str], transactions: Any, as_of: datetime, known_at: datetime | None = None
) -> dict[str, pa.Table]:
    """Compute the features of the views ``names``; ``known_at`` is by default ``as_of``."""
    if "source" not in transactions.columns:
        transactions = transactions.mutate(source=ibis.null("string"))
    create_source_tables(connection, {"transactions": transactions}, as_of, known_at or as_of)
    return {name: run_transformation(connection, *_compile(name)) for name in names}


def run_builder(
    connection: Any, name: str, transactions: Any, as_of: datetime, known_at: datetime | None = None
) -> pa.Table:
    """Compute the features of the view ``name``; ``known_at`` is by default ``as_of``."""
    return run_builders(connection, [name], transactions, as_of, known_at)[name]
