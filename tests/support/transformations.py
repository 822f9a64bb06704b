"""Run of a transformation on plain rows, as snapshots are built: by its compiled SQL."""

from datetime import datetime
from typing import Any

import ibis
import pyarrow as pa

from feature_repo.source_tables import apply_transformation, transformation_sql
from feature_repo.transformations import BUILDERS
from holdfast.feature_store.transformation_run import create_source_tables, run_transformation


def run_builder(
    connection: Any, name: str, transactions: Any, as_of: datetime, known_at: datetime | None = None
) -> pa.Table:
    """Compute the features of the view ``name``; ``known_at`` is by default ``as_of``."""
    if "source" not in transactions.columns:
        transactions = transactions.mutate(source=ibis.null("string"))
    create_source_tables(connection, {"transactions": transactions}, as_of, known_at or as_of)
    types = apply_transformation(BUILDERS[name]).schema().to_pyarrow()
    return run_transformation(
        connection, transformation_sql(BUILDERS[name]), {field.name: field.type for field in types}
    )
