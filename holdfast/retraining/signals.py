"""Drift and performance signals from the metrics store."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from feature_repo.settings import Settings
from holdfast.monitoring.findings import View
from holdfast.monitoring.metrics_store import read_metrics
from holdfast.retraining.policy import Reason, Signal

# The metric of drift among the metrics of the data quality view.
_DATA_DRIFT_METRIC = "shift"
_VIEWS: dict[View, Reason] = {
    "data": "holdfast.drift.detected",
    "drift": "holdfast.drift.detected",
    "outcome": "holdfast.quality.dropped",
}
_DAYS = 60  # more than any sensible number of windows reaches back


def read_signals(settings: Settings, as_of: datetime, champion: str | None) -> list[Signal]:
    """Read the last window of each day and view, up to ``as_of`` and on later days.

    Args:
        settings: Settings with the data folder.
        as_of: Time of the decision.
        champion: Champion; findings about other versions are ignored.

    Returns:
        Signals by kind and day.
    """
    found = []
    for view, event in _VIEWS.items():
        for time, rows in _windows(_table(settings, view, as_of)):
            counts = rows[rows["breached"] & rows["version"].isin(["", champion])]
            if view == "data":
                counts = counts[counts["metric"] == _DATA_DRIFT_METRIC]
            found.append(Signal(event, time, frozenset(counts["subject"])))
    return _merge_by_day(found)


def _table(settings: Settings, view: View, as_of: datetime) -> pd.DataFrame:
    just_after = as_of + timedelta(microseconds=1)
    day = as_of.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tables = [
        read_metrics(settings, view, as_of - timedelta(days=_DAYS), just_after, last_of_day=True),
        read_metrics(settings, view, day + timedelta(days=1), last_of_day=True),
    ]
    return pd.concat([table for table in tables if len(table)] or tables[:1])


def _windows(table: pd.DataFrame) -> Iterator[tuple[datetime, pd.DataFrame]]:
    for time, rows in table.groupby("as_of"):
        assert isinstance(time, pd.Timestamp)
        yield time.to_pydatetime(), rows


def _merge_by_day(found: list[Signal]) -> list[Signal]:
    """Merge the data and drift views of one day into one window."""
    days: dict[tuple[Reason, date], Signal] = {}
    for item in found:
        key = (item.event, item.as_of.astimezone(UTC).date())
        other = days.get(key, item)
        days[key] = Signal(item.event, max(item.as_of, other.as_of), item.subjects | other.subjects)
    return list(days.values())
