"""What the data view reads: rows by day, values of a day and of those before, and what arrived in the window."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import duckdb
import pandas as pd

from feature_repo.settings import Settings
from holdfast.ingestion.batches import Batch, list_batches, transactions_glob
from holdfast.monitoring.window import Window

VALUES = ("amount", "price", "quantity")
DAYS_BEFORE = 28
_MOST = 100_000  # rows of a sample: enough for any test, and they fit into memory
_DAY = timedelta(days=1)
_REPLAYED = timedelta(days=1)  # where a past window is looked at again, what arrived so long after it is of it


@dataclass(frozen=True)
class DailyCounts:
    """``counts``: rows by day, every day from the first to ``day``, the one that is judged. ``newest``: event time."""

    day: date
    counts: pd.Series
    newest: datetime

    @property
    def rows(self) -> int:
        """Those of the judged day."""
        return int(self.counts.iloc[-1])

    @property
    def empty(self) -> list[date]:
        """The judged day and those right before it without rows, oldest first."""
        filled = self.counts[self.counts > 0].index.max()
        return [day for day in self.counts.index if day > filled]


@dataclass(frozen=True)
class TransactionSample:
    """Purchases: ``values`` has ``VALUES``, one row each. ``rows`` and ``returns`` count all of them."""

    values: pd.DataFrame
    rows: int
    returns: int


@dataclass(frozen=True)
class Arrivals:
    """Batches of the window (or of all time before it), and how many rows were refused for each reason.

    ``replayed`` are those whose rows came long after the window, with the rest of a history.
    """

    batches: list[Batch]
    reasons: Counter[str]
    replayed: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        """New rows, good and bad."""
        return sum(batch.rows_added + batch.rows_quarantined for batch in self.batches)

    @property
    def refused(self) -> int:
        """New bad rows."""
        return sum(batch.rows_quarantined for batch in self.batches)


def count_rows_by_day(settings: Settings, window: Window, due_hours: float) -> DailyCounts | None:
    """Rows by day up to the last one that is due; None without any.

    A day is due some hours after it ended, for its file has to come. In a replay what belongs to a moment is there.
    """
    due = timedelta(hours=due_hours if settings.clock == "wall" else 0)
    end = datetime.combine((window.as_of - due).astimezone(UTC).date(), time(), UTC)
    found = _query(
        settings,
        "SELECT CAST(event_timestamp AS DATE) AS day, count(*) AS rows, max(event_timestamp) AS newest "
        "FROM read_parquet($files) WHERE ingested_at <= $known AND event_timestamp < $end GROUP BY 1 ORDER BY 1",
        known=window.known_at,
        end=end,
    )
    if found is None or found.empty:
        return None
    last = (end - _DAY).date()
    every = pd.date_range(found["day"].iloc[0], last).date
    counts = pd.Series(found["rows"].to_numpy(), index=found["day"].dt.date).reindex(every, fill_value=0)
    return DailyCounts(last, counts, found["newest"].iloc[-1].to_pydatetime().astimezone(UTC))


def sample_transactions(settings: Settings, window: Window, first: date, days: int) -> TransactionSample:
    """What happened on ``days`` days from ``first`` on."""
    start = datetime.combine(first, time(), UTC)
    where = {"known": window.known_at, "start": start, "end": start + days * _DAY}
    chosen = (
        "FROM read_parquet($files) WHERE ingested_at <= $known AND event_timestamp >= $start AND event_timestamp < $end"
    )
    counts = _query(settings, f"SELECT count(*) AS rows, count(*) FILTER (amount < 0) AS returns {chosen}", **where)
    values = _query(
        settings,
        f"SELECT amount, amount / quantity AS price, quantity FROM (SELECT amount, quantity {chosen} AND amount > 0) "
        f"USING SAMPLE reservoir({_MOST} ROWS) REPEATABLE (0)",
        **where,
    )
    if counts is None or values is None:
        return TransactionSample(pd.DataFrame(columns=list(VALUES), dtype=float), 0, 0)
    return TransactionSample(values, int(counts["rows"].iloc[0]), int(counts["returns"].iloc[0]))


def find_arrivals(settings: Settings, window: Window) -> tuple[Arrivals, Arrivals]:
    """What arrived in the window, and all that arrived before.

    Where a history is replayed and its batches carry today's date, they belong to the window of their last event. On
    the wall clock what arrived within the day after the window is of later ones.
    """
    latest = min(window.known_at, window.as_of + _REPLAYED)
    until = window.as_of if settings.clock == "wall" else latest
    since = until - (window.as_of - window.start)
    now, before = [], []
    for batch in list_batches(settings):
        if batch.ingested_at > window.known_at or until < batch.ingested_at <= latest:
            continue
        replayed = batch.ingested_at > latest
        moment = batch.last_event if replayed else batch.ingested_at
        start, end = (window.start, window.as_of) if replayed else (since, until)
        if moment is not None and start < moment <= end:
            now.append(batch)
        elif moment is not None and moment <= start:
            before.append(batch)
    afterwards = frozenset(batch.batch_id for batch in now if batch.ingested_at > latest)
    return Arrivals(now, _reasons(settings, now), afterwards), Arrivals(before, _reasons(settings, before))


def measure_lateness(settings: Settings, arrived: Arrivals, hours: float) -> tuple[int, int, float]:
    """Good rows that arrived, how many of them more than ``hours`` after their event, and the median in hours."""
    files = [
        str(settings.batches / batch.batch_id / "transactions.parquet")
        for batch in arrived.batches
        if batch.rows_added and batch.batch_id not in arrived.replayed
    ]
    if not files:
        return 0, 0, float("nan")
    with duckdb.connect() as connection:
        rows, late, median = connection.execute(
            "SELECT count(*), count(*) FILTER (hours > $most), median(hours) FROM "
            "(SELECT epoch(ingested_at - event_timestamp) / 3600 AS hours FROM read_parquet($files))",
            {"files": files, "most": hours},
        ).fetchall()[0]
    return int(rows), int(late), float(median)


def _reasons(settings: Settings, batches: list[Batch]) -> Counter[str]:
    """From the quarantine tables; one in memory at a time."""
    reasons: Counter[str] = Counter()
    for batch in batches:
        if batch.rows_quarantined:
            table = pd.read_parquet(settings.batches / batch.batch_id / "quarantine.parquet", columns=["reasons"])
            reasons.update(reason for these in table["reasons"] for reason in these)
    return reasons


def _query(settings: Settings, sql: str, **values: datetime) -> pd.DataFrame | None:
    """The answer; None before the first batch."""
    if not any(settings.batches.glob("*/transactions.parquet")):
        return None
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(sql, {"files": transactions_glob(settings), **values}).df()
