"""Drift and performance signals from the metrics store."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from feature_repo.settings import Settings
from holdfast.monitoring.findings import View
from holdfast.monitoring.metrics_store import read_metrics
from holdfast.retraining.policy import Reason, Signal

# The metric of drift among the metrics of the data quality view.
_DATA_DRIFT_METRIC = "shift"
_PSI = frozenset({"psi"})


@dataclass(frozen=True)
class _Source:
    """Measurements of a view that are signals of one kind: of the named metrics only, or of all others."""

    view: View
    event: Reason
    metrics: frozenset[str] | None = None
    others: frozenset[str] = frozenset()


_DATA = _Source("data", "holdfast.drift.detected", frozenset({_DATA_DRIFT_METRIC}))
_SOURCES: dict[str, tuple[_Source, ...]] = {
    "classification": (
        _DATA,
        _Source("drift", "holdfast.drift.detected"),
        _Source("outcome", "holdfast.quality.dropped"),
    ),
    "regression": (
        _DATA,
        _Source("spend", "holdfast.drift.detected", _PSI),
        _Source("spend", "holdfast.quality.dropped", others=_PSI),
    ),
}
_DAYS = 60  # more than any sensible number of windows reaches back


def read_signals(
    settings: Settings, as_of: datetime, champion: str | None, kind: str = "classification"
) -> list[Signal]:
    """Read the last window of each day and view, up to ``as_of`` and on later days.

    Args:
        settings: Settings with the data folder.
        as_of: Time of the decision.
        champion: Champion; findings about other versions are ignored.
        kind: Kind of the model.

    Returns:
        Signals by kind and day.
    """
    days: dict[tuple[Reason, date], Signal] = {}
    for source in _SOURCES[kind]:
        table, event = _read_last_of_days(settings, source.view, as_of), source.event
        for time in (item.to_pydatetime() for item in table["as_of"].unique()):
            rows = table[table["as_of"] == time]
            counts = rows[rows["breached"] & rows["version"].isin(["", champion])]
            counts = counts[~counts["metric"].isin(source.others)]
            if source.metrics is not None:
                counts = counts[counts["metric"].isin(source.metrics)]
            # The data quality and drift views of one day are one window.
            key = (event, time.astimezone(UTC).date())
            other = days.get(key, Signal(event, time))
            days[key] = Signal(event, max(time, other.as_of), other.subjects | set(counts["subject"]))
    return list(days.values())


def _read_last_of_days(settings: Settings, view: View, as_of: datetime) -> pd.DataFrame:
    just_after = as_of + timedelta(microseconds=1)
    day = as_of.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tables = [
        read_metrics(settings, view, as_of - timedelta(days=_DAYS), just_after, last_of_day=True),
        read_metrics(settings, view, day + timedelta(days=1), last_of_day=True),
    ]
    return pd.concat([table for table in tables if len(table)] or tables[:1])
