"""Detection of rows that restate stored rows: the same sales with another amount, time, customer, quantity or source.

Compared are the new rows of a source with the orphans: the stored rows of the same period that the source does not
contain. An append has no orphans, because the stored rows end before it; a grown export has none, because it contains
every stored row; a file of late arrivals restates only a small share of its orphans, and two purchases of a customer
share neither time nor position with an orphan. A restated export has an orphan for most of its new rows, and a new row
for most of its orphans.

Only rows of the parts that the source states are compared: of its shops, kinds of events or attributes. A part that has
another name now is compared with the part that it restates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from holdfast.core.parquet_files import create_parquet_view
from holdfast.ingestion.kinds import Kind, KindName
from holdfast.ingestion.stored_rows import fetch_row, match_columns, to_arrow

# Fewer pairs may be chance: customers who bought twice at a time of which only the day is known.
_LEAST_PAIRS = 3
_LEAST_SHARE = 0.5  # of the new rows, and of the orphans
# Orders that a shop edits are fewer; a mapping or an export that changed restates more.
_LEAST_RESTATED_SHARE = 0.01
_WIDEST_OFFSET = pd.Timedelta(hours=14)  # of a time zone from UTC

_SECOND = 1_000_000  # microseconds
_MINUTE, _HOUR, _DAY = 60 * _SECOND, 3600 * _SECOND, 86400 * _SECOND
# What a clock may leave out: fractions of a second, seconds, minutes or the time of day.
_IS_CUT = "f.us % {unit} = 0 OR o.us % {unit} = 0"
_CUT = " OR ".join(
    f"(f.us // {unit} = o.us // {unit} AND ({_IS_CUT.format(unit=unit)}))" for unit in (_SECOND, _MINUTE, _HOUR, _DAY)
)
_OTHER_ZONE = f"""(
    abs(f.us // {_MINUTE} - o.us // {_MINUTE}) <= 14 * 60
    AND (f.us // {_MINUTE} - o.us // {_MINUTE}) % 15 = 0
    AND (f.us % {_MINUTE} = o.us % {_MINUTE} OR {_IS_CUT.format(unit=_MINUTE)}
         OR (f.us % {_MINUTE} // {_SECOND} = o.us % {_MINUTE} // {_SECOND} AND ({_IS_CUT.format(unit=_SECOND)})))
)"""
_DAY_AND_MONTH_SWAPPED = """(
    f.event_timestamp::TIMESTAMP::TIME = o.event_timestamp::TIMESTAMP::TIME
    AND year(f.event_timestamp) = year(o.event_timestamp)
    AND month(f.event_timestamp) = day(o.event_timestamp) AND day(f.event_timestamp) = month(o.event_timestamp)
)"""
_SAME_TIME = f"({_OTHER_ZONE} OR {_CUT} OR {_DAY_AND_MONTH_SWAPPED})".replace("f.us", "epoch_us(f.event_timestamp)")
_SAME_TIME = _SAME_TIME.replace("o.us", "epoch_us(o.event_timestamp)")
_LINES = "lines"
# What differs: the condition on these columns, all others being equal. Only rows count whose equal columns occur once
# among the new rows and once among the orphans: a price that many customers pay identifies none of them.
_CHANGES: dict[KindName, dict[str, str]] = {
    "transactions": {
        "amount": "f.amount <> o.amount",
        "amount and quantity": "f.amount <> o.amount AND f.quantity <> o.quantity",
        "quantity": "f.quantity <> o.quantity",
        "event_timestamp": _SAME_TIME,
        "customer_id": "f.customer_id <> o.customer_id",
        "source": "f.source IS DISTINCT FROM o.source",
        # The lines of orders instead of orders, or the reverse.
        _LINES: "f.lines <> o.lines AND round(f.amount - o.amount, 2) = 0",
    },
    "events": {
        "value": "f.value IS DISTINCT FROM o.value",
        "event_timestamp": _SAME_TIME,
        "customer_id": "f.customer_id <> o.customer_id",
        # Not the kind: a mail is sent and delivered in one second.
    },
    # A value that is stated again with another time or customer is in no sum twice.
    "attributes": {"value": "f.value IS DISTINCT FROM o.value"},
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
        column: Names of the columns that differ; ``lines`` where orders have other lines with the same sum.
        pairs: Pairs of a new row and a stored row, or of such orders.
        example: Stored and new row of one pair, as text.
        batch_ids: Batches of the stored rows.
        is_certain: False where the pairs are too few to refuse the source.
    """

    column: str
    pairs: int
    example: tuple[str, str]
    batch_ids: tuple[str, ...]
    is_certain: bool


def find_restatement(
    kind: Kind, source: pd.DataFrame, new: np.ndarray, stored: list[Path], spill: Path
) -> Restatement | None:
    """Find the change that explains most of the new rows as restated rows.

    Args:
        kind: Kind of source.
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
        create_parquet_view(connection, "stored", stored, kind.table)
        count, first, last = fetch_row(
            connection,
            "SELECT count(*), epoch_us(min(event_timestamp)), epoch_us(max(event_timestamp)) FROM stored "
            "WHERE event_timestamp BETWEEN ? AND ?",
            [start.to_pydatetime(), end.to_pydatetime()],
        )
        known = len(source) - len(new)
        if count == 0 or (count == known and kind.name != "attributes"):  # the source has all rows of its period
            return None
        fresh = source.iloc[new]
        earliest, latest = (pd.Timestamp(time, unit="us", tz="UTC") for time in (first, last))
        inside = fresh["event_timestamp"].between(earliest - _WIDEST_OFFSET, latest + _WIDEST_OFFSET)
        if not inside.any():
            return None
        connection.register("source", to_arrow(kind, source))
        connection.register("fresh", to_arrow(kind, fresh[inside]))
        columns = ", ".join(kind.key)
        connection.execute(
            f"CREATE TEMP TABLE orphans AS SELECT {columns} FROM stored "
            f"WHERE event_timestamp BETWEEN ? AND ? EXCEPT ALL SELECT {columns} FROM source",
            [start.to_pydatetime(), end.to_pydatetime()],
        )
        found = [_compare(connection, kind, column, known) for column in _CHANGES[kind.name]]
    changes = [change for change in found if change is not None]
    return max(changes, key=lambda change: (change.is_certain, change.pairs), default=None)


def _compare(connection: duckdb.DuckDBPyConnection, kind: Kind, column: str, known: int) -> Restatement | None:
    """Count the pairs of one change, and the new rows and orphans that could have been in a pair."""
    changed = ["amount", "quantity"] if column == _LINES else column.split(" and ")
    equal = [name for name in kind.key if name not in changed]
    select = _select_sums if column == _LINES else _select_singles
    select(connection, "fresh", equal, changed)
    select(connection, "orphans", equal, changed)
    row = ", ".join(f"o.{name} AS stored_{name}, f.{name} AS new_{name}" for name in kind.key)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE pairs AS SELECT {row} FROM single_fresh f JOIN single_orphans o "
        f"ON {match_columns('f', 'o', equal)} WHERE {_CHANGES[kind.name][column]}"
    )
    if column == kind.part:  # of the parts that the rows had before, the one of most pairs
        connection.execute(
            f"DELETE FROM pairs WHERE stored_{column} IS DISTINCT FROM (SELECT stored_{column} FROM pairs "
            "GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)"
        )
    pairs = int(
        fetch_row(connection, _COUNT_CONSISTENT if column == "customer_id" else "SELECT count(*) FROM pairs")[0]
    )
    if pairs == 0:
        return None
    of_part = "SELECT stored" if column == kind.part else "SELECT new"
    parts = f"SELECT count(*) FROM single_orphans o SEMI JOIN ({of_part}_{kind.part} AS part FROM pairs) p "
    singles = [
        int(fetch_row(connection, query)[0])
        for query in (
            "SELECT count(*) FROM single_fresh",
            f"{parts} ON o.{kind.part} IS NOT DISTINCT FROM p.part",
        )
    ]
    shares = [pairs >= _LEAST_SHARE * count for count in singles]
    if not any(shares):
        return None
    # Equal prices on one day identify no customer; equal prices at several times do.
    count_times = "SELECT count(DISTINCT stored_event_timestamp) FROM pairs"
    evidence = int(fetch_row(connection, count_times)[0]) if column == "customer_id" else pairs
    texts = ", ".join(
        f"{side}_{name}::TIMESTAMP" if name == "event_timestamp" else f"{side}_{name}"
        for side in ("stored", "new")
        for name in kind.key
    )
    example = connection.execute(f"SELECT {texts} FROM pairs ORDER BY ALL LIMIT 1").fetchall()[0]
    stored_key = equal if column == _LINES else kind.key
    batch_ids = connection.execute(
        f"SELECT DISTINCT batch_id FROM stored s SEMI JOIN pairs p ON "
        f"{' AND '.join(f's.{name} IS NOT DISTINCT FROM p.stored_{name}' for name in stored_key)} ORDER BY 1"
    ).fetchall()
    return Restatement(
        column=column,
        pairs=pairs,
        example=(_format_row(example[: len(kind.key)]), _format_row(example[len(kind.key) :])),
        batch_ids=tuple(row[0] for row in batch_ids),
        is_certain=all(shares) and evidence >= _LEAST_PAIRS and pairs >= _LEAST_RESTATED_SHARE * (pairs + known),
    )


def _select_singles(
    connection: duckdb.DuckDBPyConnection, name: str, equal: Sequence[str], changed: Sequence[str]
) -> None:
    """Select the rows whose equal columns occur once."""
    key, values = ", ".join(equal), ", ".join(f"any_value({field}) AS {field}" for field in changed)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE single_{name} AS "
        f"SELECT {key}, {values} FROM {name} GROUP BY {key} HAVING count(*) = 1"
    )


def _select_sums(connection: duckdb.DuckDBPyConnection, name: str, equal: Sequence[str], summed: Sequence[str]) -> None:
    """Select the sums of the rows whose equal columns agree: orders, whatever their lines."""
    key, values = ", ".join(equal), ", ".join(f"sum({field}) AS {field}" for field in summed)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE single_{name} AS "
        f"SELECT {key}, {values}, count(*) AS lines FROM {name} GROUP BY {key}"
    )


def _format_row(row: tuple[Any, ...]) -> str:
    """Format the fields of a row; one that is null is left out."""
    texts = (
        f"{value:%Y-%m-%d %H:%M:%S}"
        if isinstance(value, datetime)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
        for value in row
        if value is not None
    )
    return ", ".join(texts)
