"""What the metrics table says of drift and quality, as the policy reads it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pandas as pd

from feature_repo.settings import Settings
from flows.monitoring.findings import View
from flows.monitoring.metrics_table import read_metrics
from flows.retraining.policy import Reason, Seen

# The data view finds other troubles, too; this is its measure of drift.
_DRIFT_OF_DATA = "shift"
_VIEWS: dict[View, Reason] = {
    "data": "holdfast.drift.detected",
    "drift": "holdfast.drift.detected",
    "outcome": "holdfast.quality.dropped",
}
_DAYS = 60  # more than any sensible number of windows reaches back


def seen(settings: Settings, as_of: datetime, champion: str | None) -> list[Seen]:
    """Every window of the last weeks, and later ones; of a version other than the champion nothing counts."""
    found = []
    for view, event in _VIEWS.items():
        table = read_metrics(settings, view, since=as_of - timedelta(days=_DAYS))
        for moment, rows in _windows(table):
            counts = rows[rows["breached"] & rows["version"].isin(["", champion])]
            if view == "data":
                counts = counts[counts["metric"] == _DRIFT_OF_DATA]
            found.append(Seen(event, moment, frozenset(counts["subject"])))
    return _merged(found)


def _windows(table: pd.DataFrame) -> Iterator[tuple[datetime, pd.DataFrame]]:
    for moment, rows in table.groupby("as_of"):
        assert isinstance(moment, pd.Timestamp)
        yield moment.to_pydatetime(), rows


def _merged(found: list[Seen]) -> list[Seen]:
    """Data and drift view of one run are one window."""
    subjects: dict[tuple[Reason, datetime], frozenset[str]] = {}
    for item in found:
        key = (item.event, item.as_of)
        subjects[key] = subjects.get(key, frozenset()) | item.subjects
    return [Seen(event, as_of, these) for (event, as_of), these in subjects.items()]
