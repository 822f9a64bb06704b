"""Queries of the data quality view: rows by day, samples of transactions, batches that arrived in the window."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import duckdb
import pandas as pd

from feature_repo.settings import Settings
from holdfast.core.parquet_files import create_parquet_view, read_parquet_file
from holdfast.ingestion.batches import Batch, batch_files, list_batches, select_known, transaction_files
from holdfast.ingestion.history_extent import read_extent
from holdfast.ingestion.kinds import KINDS, TRANSACTIONS, KindName
from holdfast.monitoring.window import Window

VALUES = ("amount", "price", "quantity")
DAYS_BEFORE = 28
_MAX_ROWS = 100_000  # per sample: enough for each test, and small enough for memory
_DAY = timedelta(days=1)
_REPLAY_GRACE = timedelta(days=1)  # arrivals up to this long after a past window belong to it


@dataclass(frozen=True)
class DailyCounts:
    """Transactions per day.

    Attributes:
        day: The checked day, the last one that is due.
        counts: Rows by day (``date``), with every day from the first one to ``day``.
        newest: Event time of the newest transaction.
    """

    day: date
    counts: pd.Series
    newest: datetime

    @property
    def rows(self) -> int:
        """Return the rows of the checked day."""
        return int(self.counts.iloc[-1])

    @property
    def empty(self) -> list[date]:
        """Return the days without rows that end with the checked day, oldest first."""
        filled = self.counts[self.counts > 0].index.max()
        return [day for day in self.counts.index if day > filled]


@dataclass(frozen=True)
class TransactionSample:
    """Transactions of some days.

    Attributes:
        values: ``VALUES`` of up to 100,000 purchases, shape (purchases, 3).
        rows: Number of all transactions.
        returns: Number of transactions with a negative amount.
    """

    values: pd.DataFrame
    rows: int
    returns: int


@dataclass(frozen=True)
class Arrivals:
    """Batches that arrived in a window, or before it.

    Attributes:
        reasons: Quarantined rows by reason.
        replayed: Identifiers of batches that arrived long after the window, as part of a history.
    """

    batches: list[Batch]
    reasons: Counter[str]
    replayed: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        """Return the number of new rows, accepted and quarantined."""
        return sum(batch.rows_added + batch.rows_quarantined for batch in self.batches)

    @property
    def quarantined(self) -> int:
        """Return the number of new quarantined rows."""
        return sum(batch.rows_quarantined for batch in self.batches)


def count_rows_by_day(settings: Settings, window: Window, due_hours: float) -> DailyCounts | None:
    """Count the transactions per day up to the last day that is due.

    On the wall clock a day is due some hours after its end, because its file arrives later; in a replay at its end.

    Args:
        settings: Settings with the batches' folder.
        window: Monitoring window.
        due_hours: Hours after the end of a day at which the day is due, on the wall clock.

    Returns:
        The counts; None without any transaction.
    """
    if not select_known(list_batches(settings, "transactions"), window.known_at):
        return None
    due = timedelta(hours=due_hours if settings.clock == "wall" else 0)
    end = datetime.combine((window.as_of - due).astimezone(UTC).date(), time(), UTC)
    days = _query(
        settings,
        "SELECT CAST(event_timestamp AS DATE) AS day, count(*) AS rows, max(event_timestamp) AS newest "
        "FROM transactions WHERE event_timestamp < $end GROUP BY 1 ORDER BY 1",
        known=window.known_at,
        end=end,
    )
    if days.empty:
        return None
    last = (end - _DAY).date()
    all_days = pd.date_range(days["day"].iloc[0], last).date
    counts = pd.Series(days["rows"].to_numpy(), index=days["day"].dt.date).reindex(all_days, fill_value=0)
    return DailyCounts(last, counts, days["newest"].iloc[-1].to_pydatetime().astimezone(UTC))


def sample_transactions(settings: Settings, window: Window, first: date, days: int) -> TransactionSample:
    """Sample the transactions of consecutive days.

    Args:
        settings: Settings with the batches' folder.
        window: Monitoring window; transactions that arrived after its ``known_at`` are ignored.
        first: First day.
        days: Number of days.

    Returns:
        The sample; the same for the same data.
    """
    start = datetime.combine(first, time(), UTC)
    parameters = {"known": window.known_at, "start": start, "end": start + days * _DAY}
    source = "FROM transactions WHERE event_timestamp >= $start AND event_timestamp < $end"
    counts = _query(
        settings, f"SELECT count(*) AS rows, count(*) FILTER (amount < 0) AS returns {source}", **parameters
    )
    values = _query(
        settings,
        f"SELECT amount, amount / quantity AS price, quantity FROM (SELECT amount, quantity {source} AND amount > 0) "
        f"USING SAMPLE reservoir({_MAX_ROWS} ROWS) REPEATABLE (0)",
        **parameters,
    )
    return TransactionSample(values, int(counts["rows"].iloc[0]), int(counts["returns"].iloc[0]))


def find_arrivals(settings: Settings, window: Window, kind: KindName = "transactions") -> tuple[Arrivals, Arrivals]:
    """Find the batches of a kind that arrived in the window, and those that arrived before.

    If a history is replayed and its batches carry the current date, a batch belongs to the window of its last event.
    On the wall clock, a batch that arrived within a day after the window belongs to a later window.

    Args:
        settings: Settings with the batches' folder.
        window: Monitoring window.
        kind: Kind of source.

    Returns:
        Batches of the window, and earlier batches.
    """
    latest = min(window.known_at, window.as_of + _REPLAY_GRACE)
    until = window.as_of if settings.clock == "wall" else latest
    since = until - (window.as_of - window.start)
    extent = read_extent(settings, window.known_at)
    now, before = [], []
    for batch in select_known(list_batches(settings, kind), window.known_at):
        if until < batch.ingested_at <= latest:
            continue
        replayed = batch.ingested_at > latest
        arrived_at = batch.last_event if replayed else batch.ingested_at
        if replayed and arrived_at and extent:  # a row dated long after the others is no arrival
            arrived_at = min(arrived_at, extent.end)
        start, end = (window.start, window.as_of) if replayed else (since, until)
        if arrived_at is not None and start < arrived_at <= end:
            now.append(batch)
        elif arrived_at is not None and arrived_at <= start:
            before.append(batch)
    replayed_ids = frozenset(batch.batch_id for batch in now if batch.ingested_at > latest)
    return Arrivals(now, _reasons(settings, now), replayed_ids), Arrivals(before, _reasons(settings, before))


def measure_lateness(
    settings: Settings, arrived: Arrivals, hours: float, kind: KindName = "transactions"
) -> tuple[int, int, float]:
    """Measure the delay between event and arrival of the accepted rows; replayed batches and corrections are left out.

    Args:
        settings: Settings with the batches' folder.
        arrived: Batches of the window.
        kind: Kind of source.
        hours: Delay above which a row is late.

    Returns:
        Number of rows, number of late rows, and median delay in hours (NaN without rows).
    """
    measured = [
        batch
        for batch in arrived.batches
        if batch.rows_added and not batch.replaces and batch.batch_id not in arrived.replayed
    ]
    files = batch_files(settings, measured)
    if not files:
        return 0, 0, float("nan")
    with duckdb.connect() as connection:
        create_parquet_view(connection, "stored", files, KINDS[kind].table)
        rows, late, median = connection.execute(
            "SELECT count(*), count(*) FILTER (hours > $max_hours), median(hours) FROM "
            "(SELECT epoch(ingested_at - event_timestamp) / 3600 AS hours FROM stored)",
            {"max_hours": hours},
        ).fetchall()[0]
    return int(rows), int(late), float(median)


def _reasons(settings: Settings, batches: list[Batch]) -> Counter[str]:
    """Count quarantined rows by reason, with one quarantine table in memory at a time."""
    reasons: Counter[str] = Counter()
    for batch in batches:
        if batch.rows_quarantined:
            table = read_parquet_file(settings.batches / batch.batch_id / "quarantine.parquet", columns=["reasons"])
            reasons.update(reason for row_reasons in table["reasons"].to_pylist() for reason in row_reasons)
    return reasons


def _query(settings: Settings, sql: str, known: datetime, **values: datetime) -> pd.DataFrame:
    """Query the transactions known at a time; needs a batch."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_parquet_view(connection, "transactions", transaction_files(settings, known), TRANSACTIONS.table)
        return connection.execute(sql, values).df()
