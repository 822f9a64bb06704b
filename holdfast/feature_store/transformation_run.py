"""Execution of compiled transformations by DuckDB."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from feature_repo.source_features import drop_corrected
from feature_repo.source_tables import SNAPSHOT_TIME, SOURCE_TABLES
from feature_repo.transformations import known_rows

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


def create_source_tables(
    connection: "Backend", tables: Mapping[str, ir.Table], as_of: datetime, known_at: datetime
) -> None:
    """Create the tables that transformations read, in place of those of an earlier time.

    Args:
        connection: DuckDB with the time zone UTC, Ibis's default: elsewhere a window of days would have odd hours.
        tables: Name of a source table to all its rows.
        as_of: Time that the features describe.
        known_at: Time by which a row must have been ingested.
    """
    for name, table in tables.items():
        known = known_rows(table, as_of, known_at)
        if name == "attributes":
            known = drop_corrected(known)
        connection.create_view(name, known.select(list(SOURCE_TABLES[name])), overwrite=True)
    time = pa.table({"as_of": pa.array([as_of], pa.timestamp("us", "UTC"))})
    connection.create_table(SNAPSHOT_TIME, ibis.memtable(time), overwrite=True)


def run_transformation(connection: "Backend", sql: str, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Compute the features of one view.

    Args:
        connection: DuckDB with the source tables.
        sql: Compiled transformation.
        types: Column to its type; DuckDB's type of an expression may be wider.

    Returns:
        Row per customer, in order of customer_id.

    Raises:
        pyarrow.ArrowInvalid: A value does not fit its type.
    """
    table = connection.raw_sql(sql).to_arrow_table()
    return table.cast(pa.schema([(field.name, types.get(field.name, field.type)) for field in table.schema]))
