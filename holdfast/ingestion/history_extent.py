"""Extent of the rows known at a time: begin and end of the data, and gaps, by :mod:`.flow_breaks`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from feature_repo.settings import Settings
from feature_repo.timestamps import DAY_US, epoch_us, from_epoch_us
from holdfast.ingestion.batches import Batch, table_files, transaction_files
from holdfast.ingestion.daily_rows import DailyRows, add_rows, query_daily_rows, read_daily_rows
from holdfast.ingestion.flow_breaks import DailyFlow, find_breaks
from holdfast.ingestion.kinds import TRANSACTIONS, KindName


@dataclass(frozen=True)
class DataGap:
    """Stretch of days without a flow of rows.

    Attributes:
        start: First midnight (UTC) without the flow.
        end: Midnight at which the flow begins again.
        rows: Rows inside, far fewer than beside it.
    """

    start: datetime
    end: datetime
    rows: int

    @property
    def days(self) -> int:
        """Return the length in days."""
        return (self.end - self.start).days

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Check that a period needs days of the gap.

        Args:
            start: Begin of the period, included.
            end: End of the period, not included.

        Returns:
            True for a period with at least one day of the gap.
        """
        return self.start < end and start < self.end

    def __str__(self) -> str:
        """Return the first and the last day."""
        return f"{self.start:%Y-%m-%d} to {self.end - timedelta(days=1):%Y-%m-%d}"


@dataclass(frozen=True)
class HistoryExtent:
    """Extent of the known rows of a table, or of a part of it.

    Attributes:
        begin: First event of the flow of rows.
        end: Midnight (UTC) after the last day of the flow.
        gaps: Gaps between begin and end, ascending.
        first_event: Earliest event of all.
        last_day: Midnight of the latest day with a row.
        rows_before: Rows before the begin.
        rows_after: Rows at or after the end.
    """

    begin: datetime
    end: datetime
    gaps: tuple[DataGap, ...]
    first_event: datetime
    last_day: datetime
    rows_before: int = 0
    rows_after: int = 0

    def find_gap(self, start: datetime, end: datetime) -> DataGap | None:
        """Find the first gap that overlaps a period.

        Args:
            start: Begin of the period, included.
            end: End of the period, not included.

        Returns:
            The gap; None for a period that rows cover.
        """
        return next((gap for gap in self.gaps if gap.overlaps(start, end)), None)

    def describe(self) -> tuple[str, ...]:
        """Describe gaps and rows outside the flow, for a person.

        Returns:
            Sentences; none for a history without gaps and outliers.
        """
        gaps = (
            f"Gap in the data: {gap} ({gap.days} days) has {f'only {gap.rows:,}' if gap.rows else 'no'} rows. Months "
            "whose outcomes or features need these days are left out of training and evaluation, until rows of these "
            "days are ingested."
            for gap in self.gaps
        )
        return (*gaps, *self.describe_outliers())

    def describe_outliers(self) -> tuple[str, ...]:
        """Describe rows before the begin and after the end.

        Returns:
            Sentences; none without such rows.
        """
        notes = []
        if self.rows_before:
            notes.append(
                f"Before the data begin: {_describe_rows(self.rows_before)} from {self.first_event:%Y-%m-%d} on. The "
                f"flow of rows begins on {self.begin:%Y-%m-%d}. Check the dates."
            )
        if self.rows_after:
            notes.append(
                f"After the data end: {_describe_rows(self.rows_after)} up to {self.last_day:%Y-%m-%d}. The flow of "
                f"rows ends on {self.end - timedelta(days=1):%Y-%m-%d}. Check the dates, or ingest the rows between."
            )
        return tuple(notes)


def read_extent(
    settings: Settings,
    known_at: datetime | None = None,
    as_of: datetime | None = None,
    kind: KindName = "transactions",
    part: str | None = None,
) -> HistoryExtent | None:
    """Read the extent of the rows of a table.

    Args:
        settings: Settings with the data folder.
        known_at: Time at which the rows must be valid: until an export fills a gap, the gap is there; None for now.
        as_of: Time before which the rows must be; None for all.
        kind: Kind of the table.
        part: Part of the table, such as the name of an attribute; None for all rows.

    Returns:
        The extent; None without rows.
    """
    files = tuple(table_files(settings, kind, known_at))
    return _read_files(files, None if as_of is None else epoch_us(as_of), kind, part) if files else None


@lru_cache(maxsize=64)
def _read_files(
    files: tuple[Path, ...], as_of_us: int | None, kind: KindName = "transactions", part: str | None = None
) -> HistoryExtent | None:
    daily = read_daily_rows(files, kind, part)
    return _find_extent(daily if as_of_us is None else daily.select(daily.first_us < as_of_us))


def _find_extent(daily: DailyRows) -> HistoryExtent | None:
    if not len(daily.days):
        return None
    flow = DailyFlow(daily.days, daily.customers, daily.rows)
    breaks = find_breaks(flow)
    first, last = int(flow.days[0]), int(flow.days[-1])
    return HistoryExtent(
        begin=from_epoch_us(int(daily.first_us[np.searchsorted(daily.days, breaks.begin)])),
        end=_midnight(breaks.end),
        gaps=tuple(DataGap(_midnight(a), _midnight(b), flow.count_rows(a, b)) for a, b in breaks.gaps),
        first_event=from_epoch_us(int(daily.first_us[0])),
        last_day=_midnight(last),
        rows_before=flow.count_rows(first, breaks.begin),
        rows_after=flow.count_rows(breaks.end, last + 1),
    )


def describe_changes(
    settings: Settings, before: Sequence[Path], added: pd.DataFrame, changed: Sequence[Batch]
) -> tuple[str, ...]:
    """Describe gaps and outliers that an ingest added, and gaps that it filled.

    Args:
        settings: Settings with the data folder.
        before: Files of the table before the ingest.
        added: Rows that the ingest added.
        changed: Batch that the ingest added, then those that it replaced.

    Returns:
        Sentences; none where the ingest changed nothing of this.
    """
    earlier = _read_files(tuple(before), None)
    daily, files = read_daily_rows(tuple(before)), transaction_files(settings)
    if changed[1:]:
        daily = _update_days(daily, files, changed)
    elif changed[0].kind == TRANSACTIONS.name:
        daily = add_rows(daily, files, added)
    later = _find_extent(daily)
    if later is None:
        return ()
    known = earlier.describe() if earlier else ()
    filled = [gap for gap in earlier.gaps if not later.find_gap(gap.start, gap.end)] if earlier else []
    return (
        *(note for note in later.describe() if note not in known),
        *(f"Gap in the data filled: {gap} ({gap.days} days)." for gap in filled),
    )


def _update_days(daily: DailyRows, files: Sequence[Path], changed: Sequence[Batch]) -> DailyRows:
    """Query the days between the first and the last event of changed batches again; the others are as before."""
    changed = [batch for batch in changed if batch.kind == TRANSACTIONS.name]
    start = min((batch.first_event for batch in changed if batch.first_event), default=None)
    end = max((batch.last_event for batch in changed if batch.last_event), default=None)
    if start is None or end is None:
        return daily
    first, last = epoch_us(start) // DAY_US, epoch_us(end) // DAY_US
    return daily.replace_days(first, last, query_daily_rows(files, first, last))


def _midnight(day: int) -> datetime:
    return from_epoch_us(day * DAY_US)


def _describe_rows(rows: int) -> str:
    return f"{rows:,} {'row' if rows == 1 else 'rows'}"
