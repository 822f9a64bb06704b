"""Rows of a table per day."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.timestamps import DAY_US, from_epoch_us
from holdfast.core.parquet_files import create_parquet_view
from holdfast.ingestion.flow_breaks import Days
from holdfast.ingestion.kinds import KINDS, KindName

_MOST_MARKS = 50_000_000  # bytes


class DailyRows(NamedTuple):
    """Days with rows, ascending; arrays of shape (days,).

    Attributes:
        days: Days since 1970.
        customers: Customers with a row on the day.
        rows: Rows of the day.
        first_us: First event of the day, microseconds since 1970.
    """

    days: Days
    customers: Days
    rows: Days
    first_us: Days

    def select(self, rows: np.ndarray) -> "DailyRows":
        """Select days.

        Args:
            rows: True for each day that stays, shape (days,).

        Returns:
            Selected days.
        """
        return DailyRows(*(column[rows] for column in self))

    def replace_days(self, first: int, last: int, other: "DailyRows") -> "DailyRows":
        """Replace a stretch of days.

        Args:
            first: First day of the stretch.
            last: Last day of the stretch.
            other: Days of the stretch.

        Returns:
            The days before the stretch, the other days, and the days after the stretch.
        """
        before, after = self.select(self.days < first), self.select(self.days > last)
        return DailyRows(*(np.concatenate(columns) for columns in zip(before, other, after, strict=True)))

    def add_days(self, other: "DailyRows") -> "DailyRows":
        """Add other days.

        Args:
            other: Days, none of which is among these.

        Returns:
            All days, ascending.
        """
        columns = [np.concatenate(pair) for pair in zip(self, other, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        return DailyRows(*(column[order] for column in columns))


def read_daily_rows(files: tuple[Path, ...], kind: KindName = "transactions", part: str | None = None) -> DailyRows:
    """Read the daily rows of a table.

    Args:
        files: Files of the table; none for an empty table.
        kind: Kind of the table.
        part: Part of the table, such as the name of an attribute; None for all rows.

    Returns:
        All days with rows.
    """
    return _read_daily_rows(files, kind, part)


@lru_cache(maxsize=16)  # batches are immutable
def _read_daily_rows(files: tuple[Path, ...], kind: KindName, part: str | None) -> DailyRows:
    return query_daily_rows(files, kind=kind, part=part)


def count_daily_rows(frame: pd.DataFrame) -> DailyRows:
    """Count the daily rows of a table in memory.

    Args:
        frame: Rows with the columns ``customer_id`` and ``event_timestamp`` (UTC).

    Returns:
        All days with rows.
    """
    times = frame["event_timestamp"].dt.as_unit("us").astype(np.int64).to_numpy()
    if not len(times):
        return DailyRows(*(np.array([], dtype=np.int64) for _ in DailyRows._fields))
    day = times // DAY_US
    begin = int(day.min())
    day -= begin
    rows = np.bincount(day)
    first_us = np.full(len(rows), np.iinfo(np.int64).max)
    np.minimum.at(first_us, day, times)
    ids = pa.array(frame["customer_id"])
    customers = pc.dictionary_encode(ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids)
    pairs = day * len(customers.dictionary) + customers.indices.to_numpy()
    per_day = np.bincount(_list_unique(pairs, len(rows) * len(customers.dictionary)) // len(customers.dictionary))
    known = np.flatnonzero(rows)
    return DailyRows(known + begin, per_day[known], rows[known], first_us[known])


def _list_unique(numbers: np.ndarray, limit: int) -> np.ndarray:
    """List the different numbers below a limit, by a mark per number where these are few."""
    if limit > _MOST_MARKS:
        return np.unique(numbers)
    marks = np.zeros(limit, dtype=bool)
    marks[numbers] = True
    return np.flatnonzero(marks)


def query_daily_rows(
    files: Sequence[Path],
    first: int | None = None,
    last: int | None = None,
    kind: KindName = "transactions",
    part: str | None = None,
) -> DailyRows:
    """Query the daily rows of a table.

    Args:
        files: Files of the table; none for an empty table.
        first: First day since 1970; None for no limit.
        last: Last day since 1970; None for no limit.
        kind: Kind of the table.
        part: Part of the table, such as the name of an attribute; None for all rows.

    Returns:
        Days with rows in the period.
    """
    if not files:
        return DailyRows(*(np.array([], dtype=np.int64) for _ in DailyRows._fields))
    start = datetime.min.replace(tzinfo=UTC) if first is None else from_epoch_us(first * DAY_US)
    end = datetime.max.replace(tzinfo=UTC) if last is None else from_epoch_us((last + 1) * DAY_US)
    with duckdb.connect() as connection:
        create_parquet_view(connection, "stored", files, KINDS[kind].table)
        of_part = "" if part is None else f" AND {KINDS[kind].part} = ?"
        table = connection.execute(
            # not the cast of a zoned timestamp, which takes three times as long as the rest
            "SELECT make_timestamp(epoch_us(event_timestamp))::DATE AS day, count(DISTINCT customer_id) AS customers, "
            "count(*) AS rows, epoch_us(min(event_timestamp)) AS first_us FROM stored "
            f"WHERE event_timestamp >= ? AND event_timestamp < ?{of_part} GROUP BY day ORDER BY day",
            [start, end, *([] if part is None else [part])],
        ).fetchnumpy()
    days = np.asarray(table["day"], dtype="datetime64[D]").astype(np.int64)
    return DailyRows(days, *(np.asarray(table[name], dtype=np.int64) for name in ("customers", "rows", "first_us")))


def add_rows(daily: DailyRows, files: Sequence[Path], added: pd.DataFrame) -> DailyRows:
    """Add the rows of a batch; only the days between the first and the last one that had rows before are queried.

    Args:
        daily: Daily rows before the batch.
        files: Files of the table with the batch.
        added: Rows of the batch with the columns ``customer_id`` and ``event_timestamp`` (UTC).

    Returns:
        Daily rows with those of the batch.
    """
    new = count_daily_rows(added)
    shared = new.days[np.isin(new.days, daily.days)]
    if not len(shared):
        return daily.add_days(new)
    first, last = int(shared[0]), int(shared[-1])
    between = (new.days >= first) & (new.days <= last)
    return daily.replace_days(first, last, query_daily_rows(files, first, last)).add_days(new.select(~between))
