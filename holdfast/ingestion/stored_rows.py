"""Queries that compare the rows of a source with stored rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from holdfast.core.parquet_files import create_parquet_view
from holdfast.ingestion.kinds import Kind


def count_missing(kind: Kind, source: pd.DataFrame, stored: list[Path], spill: Path, same_parts: bool = False) -> int:
    """Count the rows of stored files that a source does not contain.

    Args:
        kind: Kind of source.
        source: Valid rows of the source.
        stored: Parquet files.
        spill: Folder for DuckDB's temporary files.
        same_parts: Count the rows of the parts that the source has only: its kinds of events, its attributes.

    Returns:
        Number of rows; the n-th of equal rows is the n-th of equal rows in the source.
    """
    if not stored:
        return 0
    columns = ", ".join(kind.key)
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        connection.register("source", to_arrow(kind, source))
        create_parquet_view(connection, "stored", stored, kind.table)
        limit = f"WHERE {kind.part} IN (SELECT {kind.part} FROM source) " if same_parts else ""
        query = f"SELECT {columns} FROM stored {limit}EXCEPT ALL SELECT {columns} FROM source"
        return int(fetch_row(connection, f"SELECT count(*) FROM ({query})")[0])


def find_repeated_batches(kind: Kind, source: pd.DataFrame, stored: list[Path], spill: Path) -> tuple[str, ...]:
    """Find the batches with a row that a source contains.

    Args:
        kind: Kind of source.
        source: Valid rows of the source.
        stored: Parquet files.
        spill: Folder for DuckDB's temporary files.

    Returns:
        Ids, sorted.
    """
    if not stored or source.empty:
        return ()
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        connection.register("source", to_arrow(kind, source))
        create_parquet_view(connection, "stored", stored, kind.table)
        condition = match_columns("s", "o", kind.key)
        query = f"SELECT DISTINCT batch_id FROM stored s SEMI JOIN source o ON {condition} ORDER BY 1"
        return tuple(row[0] for row in connection.execute(query).fetchall())


def list_parts(kind: Kind, stored: list[Path], spill: Path) -> set[str]:
    """List the parts of a table that stored files have rows of.

    Args:
        kind: Kind of source.
        stored: Parquet files.
        spill: Folder for DuckDB's temporary files.

    Returns:
        Values of the column that divides the table.
    """
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        create_parquet_view(connection, "stored", stored, kind.table)
        return {row[0] for row in connection.execute(f"SELECT DISTINCT {kind.part} FROM stored").fetchall()}


def match_columns(left: str, right: str, columns: Sequence[str]) -> str:
    """Build a condition of a join.

    Args:
        left: Alias of one table.
        right: Alias of the other table.
        columns: Columns that have to be equal; two nulls are equal.

    Returns:
        SQL.
    """
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in columns)


def to_arrow(kind: Kind, rows: pd.DataFrame) -> pa.Table:
    """Convert the fields of rows to a table that DuckDB reads.

    Args:
        kind: Kind of source.
        rows: Valid rows of a source.

    Returns:
        Table with the columns that make two rows equal.
    """
    return pa.Table.from_pandas(rows[list(kind.key)], preserve_index=False)


def fetch_row(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[object] | None = None
) -> tuple[Any, ...]:
    """Fetch the only row of a query.

    Args:
        connection: Connection to DuckDB.
        query: SQL.
        parameters: Values of its placeholders.

    Returns:
        The row.
    """
    return connection.execute(query, parameters or []).fetchall()[0]
