"""Parquet files by their literal paths: no character of a path is a pattern or a partition.

DuckDB expands ``*``, ``?`` and ``[...]`` in a path, and both DuckDB and Arrow add a column for a folder ``key=value``.
Every reader of stored tables uses this module; tests/unit/test_paths.py finds others.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import duckdb
    import ibis
    from ibis.backends.duckdb import Backend


def escape_duckdb_path(path: Path) -> str:
    """Escape a path so that DuckDB reads exactly this file.

    Args:
        path: Path of a file; no backslash beside ``*``, ``?`` or ``[``, which DuckDB cannot escape (see
            :class:`feature_repo.settings.Settings`).

    Returns:
        The path as a pattern that matches it alone.
    """
    return re.sub(r"[*?\[]", r"[\g<0>]", str(path))


def create_parquet_view(connection: "duckdb.DuckDBPyConnection", name: str, files: Iterable[Path]) -> None:
    """Create a view of the rows of Parquet files.

    Args:
        connection: Connection to DuckDB.
        name: Name of the view.
        files: At least one file.
    """
    paths = [escape_duckdb_path(file) for file in files]
    connection.read_parquet(paths, hive_partitioning=False).create_view(name)


def scan_parquet_files(backend: "Backend", files: Iterable[Path]) -> "ibis.Table":
    """Open Parquet files as one table of Ibis.

    Args:
        backend: DuckDB backend of Ibis.
        files: At least one file.

    Returns:
        Table, which is read when an expression is executed.
    """
    return backend.read_parquet([escape_duckdb_path(file) for file in files], hive_partitioning=False)


def read_parquet_file(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one Parquet file.

    Args:
        path: Path of the file.
        columns: Columns to read; default all.

    Returns:
        The table.

    Raises:
        FileNotFoundError: There is no file.
        pyarrow.ArrowException: The file is not Parquet, or a column is missing.
    """
    with path.open("rb") as file:
        return pq.read_table(file, columns=None if columns is None else list(columns), partitioning=None)
