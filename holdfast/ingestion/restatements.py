"""Detection of rows that restate stored rows: the same sales with another amount, time, customer or quantity.

Compared are the new rows of a source with the orphans: the stored rows of the same period that the source does not
contain. An append has no orphans, because the stored rows end before it; a grown export has none, because it contains
every stored row; a file of late arrivals restates only a small share of its orphans, and two purchases of a customer
share neither time nor position with an orphan. A restated export has an orphan for most of its new rows, and a new row
for most of its orphans.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from holdfast.core.parquet_files import create_parquet_view
from holdfast.ingestion.deduplication import TRANSACTION_KEY

# Fewer pairs may be chance: customers who bought twice at a time of which only the day is known.
_LEAST_PAIRS = 3
_LEAST_SHARE = 0.5  # of the new rows, and of the orphans
# Orders that a shop edits are fewer; a mapping or an export that changed restates more.
_LEAST_RESTATED_SHARE = 0.01
_WIDEST_OFFSET = pd.Timedelta(hours=14)  # of a time zone from UTC
_COLUMNS = ", ".join(TRANSACTION_KEY)

# A change of the time zone, the time of day added or left out, and day and month swapped.
_SAME_TIME = """(
    (abs(epoch_us(f.event_timestamp) - epoch_us(o.event_timestamp)) <= 14 * 3600000000
     AND (epoch_us(f.event_timestamp) - epoch_us(o.event_timestamp)) % 900000000 = 0)
    OR (f.event_timestamp::DATE = o.event_timestamp::DATE
        AND (f.event_timestamp = date_trunc('day', f.event_timestamp)
             OR o.event_timestamp = date_trunc('day', o.event_timestamp)))
    OR (f.event_timestamp::TIMESTAMP::TIME = o.event_timestamp::TIMESTAMP::TIME
        AND year(f.event_timestamp) = year(o.event_timestamp)
        AND month(f.event_timestamp) = day(o.event_timestamp) AND day(f.event_timestamp) = month(o.event_timestamp))
)"""
# What differs: columns that are equal, and the condition on the others. Only rows count whose equal columns occur once
# among the new rows and once among the orphans: a price that many customers pay identifies none of them.
_CHANGES = {
    "amount": (("customer_id", "event_timestamp", "quantity"), "f.amount <> o.amount"),
    "amount and quantity": (
        ("customer_id", "event_timestamp"),
        "f.amount <> o.amount AND f.quantity <> o.quantity",
    ),
    "quantity": (("customer_id", "event_timestamp", "amount"), "f.quantity <> o.quantity"),
    "event_timestamp": (("customer_id", "amount", "quantity"), _SAME_TIME),
    "customer_id": (("event_timestamp", "amount", "quantity"), "f.customer_id <> o.customer_id"),
}


# Other ids of the same customers: each old id has one new id, or each new id one old. Chance pairs have many.
_COUNT_CONSISTENT = """
    WITH counts AS (
        SELECT stored_customer_id AS old, new_customer_id AS new, count(*) AS times FROM pairs GROUP BY ALL
    )
    SELECT greatest(
        (SELECT coalesce(sum(most), 0) FROM (SELECT max(times) AS most FROM counts GROUP BY old)),
        (SELECT coalesce(sum(most), 0) FROM (SELECT max(times) AS most FROM counts GROUP BY new))
    )
"""


@dataclass(frozen=True)
class Restatement:
    """New rows that equal stored rows in all columns but one or two.

    Attributes:
        column: Names of the columns that differ.
        pairs: Pairs of a new row and a stored row.
        example: Stored and new row of one pair, as text.
        batch_ids: Batches of the stored rows.
        is_certain: False where the pairs are too few to refuse the source.
    """

    column: str
    pairs: int
    example: tuple[str, str]
    batch_ids: tuple[str, ...]
    is_certain: bool


def find_restatement(source: pd.DataFrame, new: np.ndarray, stored: list[Path], spill: Path) -> Restatement | None:
    """Find the change that explains most of the new rows as restated rows.

    Args:
        source: Valid rows of the source.
        new: Positions of the rows that the stored files do not contain.
        stored: Parquet files of the table.
        spill: Folder for DuckDB's temporary files.

    Returns:
        The change; None without a restated row.
    """
    if not stored or len(new) == 0:
        return None
    times = source["event_timestamp"]
    start, end = times.min() - _WIDEST_OFFSET, times.max() + _WIDEST_OFFSET
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_parquet_view(connection, "stored", stored)
        count, first, last = _fetch_row(
            connection,
            "SELECT count(*), epoch_us(min(event_timestamp)), epoch_us(max(event_timestamp)) FROM stored "
            "WHERE event_timestamp BETWEEN ? AND ?",
            [start.to_pydatetime(), end.to_pydatetime()],
        )
        known = len(source) - len(new)
        if count == known or count == 0:  # no orphan: the source contains every stored row of its period
            return None
        fresh = source.iloc[new]
        earliest, latest = (pd.Timestamp(time, unit="us", tz="UTC") for time in (first, last))
        inside = fresh["event_timestamp"].between(earliest - _WIDEST_OFFSET, latest + _WIDEST_OFFSET)
        if not inside.any():
            return None
        connection.register("source", _to_arrow(source))
        connection.register("fresh", _to_arrow(fresh[inside]))
        connection.execute(
            f"CREATE TEMP TABLE orphans AS SELECT {_COLUMNS} FROM stored "
            f"WHERE event_timestamp BETWEEN ? AND ? EXCEPT ALL SELECT {_COLUMNS} FROM source",
            [start.to_pydatetime(), end.to_pydatetime()],
        )
        found = [_compare(connection, column, known) for column in _CHANGES]
    changes = [change for change in found if change is not None]
    return max(changes, key=lambda change: (change.is_certain, change.pairs), default=None)


def count_missing(source: pd.DataFrame, stored: list[Path], spill: Path) -> int:
    """Count the rows of stored files that a source does not contain.

    Args:
        source: Valid rows of the source.
        stored: Parquet files.
        spill: Folder for DuckDB's temporary files.

    Returns:
        Number of rows; the n-th of equal rows is the n-th of equal rows in the source.
    """
    if not stored:
        return 0
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        connection.register("source", _to_arrow(source))
        create_parquet_view(connection, "stored", stored)
        query = f"SELECT {_COLUMNS} FROM stored EXCEPT ALL SELECT {_COLUMNS} FROM source"
        return int(_fetch_row(connection, f"SELECT count(*) FROM ({query})")[0])


def find_repeated_batches(source: pd.DataFrame, stored: list[Path], spill: Path) -> tuple[str, ...]:
    """Find the batches with a row that a source contains.

    Args:
        source: Valid rows of the source.
        stored: Parquet files.
        spill: Folder for DuckDB's temporary files.

    Returns:
        Ids, sorted.
    """
    if not stored or source.empty:
        return ()
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        connection.register("source", _to_arrow(source))
        create_parquet_view(connection, "stored", stored)
        query = f"SELECT DISTINCT batch_id FROM stored SEMI JOIN source USING ({_COLUMNS}) ORDER BY 1"
        return tuple(row[0] for row in connection.execute(query).fetchall())


def _compare(connection: duckdb.DuckDBPyConnection, column: str, known: int) -> Restatement | None:
    """Count the pairs of one change, and the new rows and orphans that could have been in a pair."""
    equal, condition = _CHANGES[column]
    key = ", ".join(equal)
    values = ", ".join(f"any_value({name}) AS {name}" for name in TRANSACTION_KEY if name not in equal)
    for name in ("fresh", "orphans"):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE single_{name} AS "
            f"SELECT {key}, {values} FROM {name} GROUP BY {key} HAVING count(*) = 1"
        )
    row = ", ".join(f"o.{name} AS stored_{name}, f.{name} AS new_{name}" for name in TRANSACTION_KEY)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE pairs AS SELECT {row} FROM single_fresh f JOIN single_orphans o USING ({key}) "
        f"WHERE {condition}"
    )
    pairs = int(
        _fetch_row(connection, _COUNT_CONSISTENT if column == "customer_id" else "SELECT count(*) FROM pairs")[0]
    )
    if pairs == 0:
        return None
    singles = [int(_fetch_row(connection, f"SELECT count(*) FROM single_{name}")[0]) for name in ("fresh", "orphans")]
    shares = [pairs >= _LEAST_SHARE * count for count in singles]
    if not any(shares):
        return None
    # Equal prices on one day identify no customer; equal prices at several times do.
    count_times = "SELECT count(DISTINCT stored_event_timestamp) FROM pairs"
    evidence = int(_fetch_row(connection, count_times)[0]) if column == "customer_id" else pairs
    example = connection.execute(
        "SELECT stored_customer_id, stored_event_timestamp::TIMESTAMP, stored_amount, stored_quantity, "
        "new_customer_id, new_event_timestamp::TIMESTAMP, new_amount, new_quantity FROM pairs ORDER BY ALL LIMIT 1"
    ).fetchall()[0]
    stored_rows = ", ".join(f"stored_{name} AS {name}" for name in TRANSACTION_KEY)
    batch_ids = connection.execute(
        f"SELECT DISTINCT batch_id FROM stored SEMI JOIN (SELECT {stored_rows} FROM pairs) USING ({_COLUMNS}) "
        "ORDER BY 1"
    ).fetchall()
    return Restatement(
        column=column,
        pairs=pairs,
        example=(_format_row(example[:4]), _format_row(example[4:])),
        batch_ids=tuple(row[0] for row in batch_ids),
        is_certain=all(shares) and evidence >= _LEAST_PAIRS and pairs >= _LEAST_RESTATED_SHARE * (pairs + known),
    )


def _to_arrow(rows: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(rows[list(TRANSACTION_KEY)], preserve_index=False)


def _fetch_row(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[object] | None = None
) -> tuple[Any, ...]:
    return connection.execute(query, parameters or []).fetchall()[0]


def _format_row(row: tuple[Any, ...]) -> str:
    customer, time, amount, quantity = row
    return f"{customer}, {time:%Y-%m-%d %H:%M:%S}, {amount:g}, {quantity:g}"
