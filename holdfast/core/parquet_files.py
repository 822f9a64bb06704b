"""Parquet files by their literal paths: no character of a path is a pattern or a partition.

DuckDB expands ``*``, ``?`` and ``[...]`` in a path, and both DuckDB and Arrow add a column for a folder ``key=value``.
Every reader of stored tables uses this module; tests/unit/test_paths.py finds others.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
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


def create_parquet_view(
    connection: "duckdb.DuckDBPyConnection", name: str, files: Iterable[Path], schema: pa.Schema | None = None
) -> None:
    """Create a view of the rows of Parquet files.

    Args:
        connection: Connection to DuckDB.
        name: Name of the view.
        files: Files; at least one without a schema.
        schema: Columns of the view; one that a file lacks is null. Default: the columns of the files.
    """
    relations = [
        connection.read_parquet([escape_duckdb_path(file) for file in group], hive_partitioning=False)
        for group in _group_by_columns(files, schema)
    ]
    if schema is not None:
        relations = [
            relation.project(", ".join(_select_column(field, relation.columns) for field in schema))
            for relation in relations or [connection.from_arrow(schema.empty_table())]
        ]
    view = relations[0]
    for relation in relations[1:]:
        view = view.union(relation)
    view.create_view(name)


def scan_parquet_files(backend: "Backend", files: Iterable[Path], schema: pa.Schema | None = None) -> "ibis.Table":
    """Open Parquet files as one table of Ibis.

    Args:
        backend: DuckDB backend of Ibis.
        files: Files; at least one without a schema.
        schema: Columns of the table; one that a file lacks is null. Default: the columns of the files.

    Returns:
        Table, which is read when an expression is executed.
    """
    import ibis

    tables = [
        backend.read_parquet([escape_duckdb_path(file) for file in group], hive_partitioning=False)
        for group in _group_by_columns(files, schema)
    ]
    if schema is None:
        return tables[0]
    if not tables:
        return backend.create_table(ibis.util.gen_name("empty"), schema.empty_table(), temp=True)
    types = ibis.Schema.from_pyarrow(schema)
    complete = [
        table.select(**{name: table[name] if name in table.columns else ibis.null(types[name]) for name in types})
        for table in tables
    ]
    return complete[0] if len(complete) == 1 else ibis.union(*complete)


def _group_by_columns(files: Iterable[Path], schema: pa.Schema | None) -> list[list[Path]]:
    """Group files by the columns of the schema that each has: DuckDB reads one list of files with equal columns."""
    groups: dict[frozenset[str], list[Path]] = {}
    for file in files:
        columns = (
            frozenset() if schema is None else _read_columns(file, file.stat().st_mtime_ns) & frozenset(schema.names)
        )
        groups.setdefault(columns, []).append(file)
    return list(groups.values())


@lru_cache(maxsize=100_000)
def _read_columns(file: Path, _changed_at: int) -> frozenset[str]:
    return frozenset(pq.read_schema(file).names)


def _select_column(field: pa.Field, columns: Sequence[str]) -> str:
    if field.name in columns:
        return f'"{field.name}"'
    return f'CAST(NULL AS {"VARCHAR" if pa.types.is_string(field.type) else "DOUBLE"}) AS "{field.name}"'


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
