"""Detection of rows that restate stored rows: the same sales with another amount, time, customer, quantity or source.

Compared are the new rows of a source with the orphans: the stored rows of the same period that the source does not
contain. An append has no orphans, because the stored rows end before it; a grown export has none, because it contains
every stored row; a file of late arrivals restates only a small share of its orphans, and two purchases of a customer
share neither time nor position with an orphan. A restated export has an orphan for most of its new rows, and a new row
for most of its orphans.

Only rows of the parts that the source states are compared: of its shops, kinds of events or attributes. A part that has
another name now is compared with the part that it restates.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from holdfast.core.parquet_files import create_parquet_view
from holdfast.ingestion.kinds import Kind
from holdfast.ingestion.row_changes import CHANGES, OTHER_CUSTOMER, Change, list_equal_columns, select_comparable_rows
from holdfast.ingestion.stored_rows import fetch_row, match_columns, to_arrow

LEAST_SHARE = 0.5  # of the new rows, and of the orphans
# Orders that a shop edits are fewer; a mapping or an export that changed restates more.
_LEAST_RESTATED_SHARE = 0.01
_WIDEST_OFFSET = pd.Timedelta(hours=14)  # of a time zone from UTC

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
        column: Names of the columns that differ; ``lines`` where orders have other lines.
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
        return compare_rows(connection, kind, known)


def compare_rows(connection: duckdb.DuckDBPyConnection, kind: Kind, known: int) -> Restatement | None:
    """Find the change that explains most of the new rows.

    Args:
        connection: Connection with the tables ``fresh`` (new rows), ``orphans`` and ``stored`` (rows that include the
            orphans, with their ``batch_id``); its time zone is UTC.
        kind: Kind of source.
        known: Number of rows that are not new.

    Returns:
        The change; None without a restated row.
    """
    found = [(change, _compare(connection, kind, change, known)) for change in CHANGES[kind.name]]
    return max(
        (restatement for _, restatement in found if restatement is not None),
        key=lambda restatement: (restatement.is_certain, restatement.pairs),
        default=None,
    )


def _compare(connection: duckdb.DuckDBPyConnection, kind: Kind, change: Change, known: int) -> Restatement | None:
    """Count the pairs of one change, and the new rows and orphans that could have been in a pair."""
    equal = list_equal_columns(kind, change)
    for table in ("fresh", "orphans"):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE single_{table} AS {select_comparable_rows(kind, change, table)}"
        )
    row = ", ".join(f"o.{name} AS stored_{name}, f.{name} AS new_{name}" for name in kind.key)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE pairs AS SELECT {row} FROM single_fresh f JOIN single_orphans o "
        f"ON {match_columns('f', 'o', equal)} WHERE {change.condition}"
    )
    if change.columns == (kind.part,):  # of the parts that the rows had before, the one of most pairs
        connection.execute(
            f"DELETE FROM pairs WHERE stored_{kind.part} IS DISTINCT FROM (SELECT stored_{kind.part} FROM pairs "
            "GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)"
        )
    pairs = int(
        fetch_row(connection, _COUNT_CONSISTENT if change is OTHER_CUSTOMER else "SELECT count(*) FROM pairs")[0]
    )
    if pairs == 0:
        return None
    of_part = "SELECT stored" if change.columns == (kind.part,) else "SELECT new"
    parts = f"SELECT count(*) FROM single_orphans o SEMI JOIN ({of_part}_{kind.part} AS part FROM pairs) p "
    singles = [
        int(fetch_row(connection, query)[0])
        for query in (
            "SELECT count(*) FROM single_fresh",
            f"{parts} ON o.{kind.part} IS NOT DISTINCT FROM p.part",
        )
    ]
    shares = [pairs >= LEAST_SHARE * count for count in singles]
    if not (any(shares) if change.can_refuse else all(shares)):
        return None
    evidence = pairs
    if change.distinct:  # equal prices on one day identify no customer; equal prices at several times do
        evidence = int(fetch_row(connection, f"SELECT count(DISTINCT {change.distinct}) FROM pairs")[0])
    if not change.can_refuse and evidence < change.least_evidence:
        return None
    texts = ", ".join(
        f"{side}_{name}::TIMESTAMP" if name == "event_timestamp" else f"{side}_{name}"
        for side in ("stored", "new")
        for name in kind.key
    )
    example = connection.execute(f"SELECT {texts} FROM pairs ORDER BY ALL LIMIT 1").fetchall()[0]
    day = "date_trunc('day', {}.{}event_timestamp)"
    condition = (
        f"s.customer_id = p.stored_customer_id AND {day.format('s', '')} = {day.format('p', 'stored_')}"
        if change.of_orders
        else " AND ".join(f"s.{name} IS NOT DISTINCT FROM p.stored_{name}" for name in kind.key)
    )
    batch_ids = connection.execute(
        f"SELECT DISTINCT batch_id FROM stored s SEMI JOIN pairs p ON {condition} ORDER BY 1"
    ).fetchall()
    return Restatement(
        column=change.name or " and ".join(change.columns),
        pairs=pairs,
        example=(_format_row(example[: len(kind.key)]), _format_row(example[len(kind.key) :])),
        batch_ids=tuple(row[0] for row in batch_ids),
        is_certain=change.can_refuse
        and all(shares)
        and evidence >= max(change.least_evidence, change.least_distinct * pairs)
        and pairs >= _LEAST_RESTATED_SHARE * (pairs + known),
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
