"""Writer of whole columns to Feast's SQLite online store: the rows of Feast's own writes."""

import sqlite3
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.names import ENTITY_KEY
from holdfast.feast_stores.raw_values import ViewRows, entity_keys
from holdfast.feast_stores.value_encoder import encode_values, format_values, to_microseconds

_CHUNK = 20_000  # customers that are encoded at once: limits the memory


def write_view(connection: sqlite3.Connection, table: str, rows: ViewRows) -> None:
    """Insert or update the values of a view, in one transaction.

    One statement writes all values of a customer; a statement per value, as Feast's, takes twice as long.

    Args:
        connection: Connection to the store, without an open transaction.
        table: Table of the view.
        rows: Rows of the view.

    Raises:
        sqlite3.OperationalError: The file cannot be written; no value was changed.
    """
    statement = _upsert(table, [field.name for field in rows.view.features])
    # In the order of the primary key the file is written from the beginning to the end.
    ordered = rows.table.take(pc.sort_indices(rows.table[ENTITY_KEY]))
    with connection:
        for batch in ordered.to_batches(max_chunksize=_CHUNK):
            connection.executemany(statement, _bind(rows, batch))


def _upsert(table: str, fields: Sequence[str]) -> str:
    """Write the statement; parameters: key, both times, then value and text of each field."""
    quoted = [field.replace("'", "''") for field in fields]
    values = ", ".join(f"(?1, '{name}', ?{4 + 2 * i}, ?{5 + 2 * i}, ?2, ?3)" for i, name in enumerate(quoted))
    columns = ("value", "value_text", "event_ts", "created_ts")
    updates = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return (
        f'INSERT INTO "{table}" (entity_key, feature_name, {", ".join(columns)}) VALUES {values} '
        f"ON CONFLICT(entity_key, feature_name) DO UPDATE SET {updates}"
    )


def _bind(rows: ViewRows, batch: pa.RecordBatch) -> list[tuple[object, ...]]:
    times = (rows.time_column, rows.created_column)
    columns: list[Sequence[object]] = [entity_keys(batch[ENTITY_KEY].to_pylist())]
    columns += [[time // 1_000_000 for time in to_microseconds(batch[name])] for name in times]
    for field in rows.view.features:
        column, dtype = batch[field.name], str(field.dtype)
        columns += [encode_values(column, dtype), format_values(column, dtype)]
    return list(zip(*columns, strict=True))
