"""Evidently's workspace: a project per view, a report per day."""

import json
import os
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.core.atomic_files import replace_file
from holdfast.monitoring.findings import View
from holdfast.training.plots import GREEN

if TYPE_CHECKING:
    from evidently.core.report import Snapshot

if TYPE_CHECKING:
    from evidently.core.report import Snapshot
    from evidently.sdk.models import DashboardModel

TITLES: dict[View, str] = {
    "data": "The transactions that arrive, against those of the weeks before",
    "drift": "What the service reads and says, against what the model met when it was trained",
    "skew": "Logged features against the same recomputed",
    "outcome": "Scores against what then happened",
}
# Of a view whose reports hold one number for it: its title, the metric, and which of its values.
_SHOWN: dict[View, tuple[str, str, dict[str, str]]] = {
    "drift": ("Columns that Evidently calls drifted", "DriftedColumnsCount", {"value_type": "count"}),
}
_NAMES = uuid.UUID("5f3b6f0e-2c63-4a57-9a34-6a3c5d2f7b10")  # any constant: it makes names into ids


def project_name(view: View) -> str:
    """How the project is called in Evidently's pages."""
    return f"Holdfast: {view}"


def save_report(settings: Settings, view: View, report: "Snapshot", as_of: datetime, keep_days: int) -> Path:
    """Put a report into the workspace and take those of more than ``keep_days`` before it out; returns its file.

    Ids are made from names, so two runs at once write the same project, and of several runs about one day the last
    report stays: each takes a megabyte. Files are replaced as a whole: Evidently's pages stop at half a report.
    """
    from evidently.core.serialization import SnapshotModel
    from evidently.legacy.utils import NumpyEncoder
    from evidently.ui.workspace import ProjectModel

    name = project_name(view)
    project = ProjectModel(id=uuid.uuid5(_NAMES, name), name=name, description=TITLES[view])
    folder = settings.evidently / str(project.id)
    if not (folder / "dashboard.json").exists():
        _write(folder / "metadata.json", project.dict(), NumpyEncoder)
        _write(folder / "dashboard.json", _dashboard(view).dict(), NumpyEncoder)
    model: SnapshotModel = report.to_snapshot_model()
    model.name, model.timestamp = f"{view}, {as_of:%Y-%m-%d %H:%M} UTC", as_of.replace(tzinfo=None)
    path = folder / "snapshots" / f"{uuid.uuid5(project.id, as_utc(as_of).date().isoformat())}.json"
    _write(path, model.dict(), NumpyEncoder)
    os.utime(path, (as_of.timestamp(), as_of.timestamp()))  # so that old ones are found without reading all
    for other in path.parent.glob("*.json"):
        if other.stat().st_mtime < (as_of - timedelta(days=keep_days)).timestamp():
            other.unlink(missing_ok=True)
    return path


def _dashboard(view: View) -> "DashboardModel":
    """The project's first page: what it is about, and a number per day where the reports hold one for it."""
    from evidently.sdk.models import DashboardModel, DashboardTabModel, PanelMetric
    from evidently.sdk.panels import line_plot_panel, text_panel

    panels = [text_panel(title=TITLES[view], description="A report of each day is behind the tab Reports.")]
    if view in _SHOWN:
        title, metric, labels = _SHOWN[view]
        panels.append(
            line_plot_panel(title=title, values=[PanelMetric(legend="columns", metric=metric, metric_labels=labels)])
        )
    for panel in panels:
        panel.id = uuid.uuid5(_NAMES, f"{view} {panel.title}")
    tab = DashboardTabModel(id=uuid.uuid5(_NAMES, f"{view} days"), title="Days", panels=[panel.id for panel in panels])
    return DashboardModel(tabs=[tab], panels=panels)


def _write(path: Path, content: dict[str, Any], encoder: type[json.JSONEncoder]) -> None:
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(content, cls=encoder), encoding="utf-8")


def plot_message(text: str, colour: str = GREEN) -> Figure:
    """A picture that says in words that there is nothing to draw."""
    figure = Figure(figsize=(9, 1.6), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", wrap=True, fontsize=13, color=colour)
    return figure


_ROWS = 20_000


def build_drift_report(current: pd.DataFrame, reference: pd.DataFrame) -> "Snapshot | None":
    """PSI and missing values of the columns that have values in both; None where there are none."""
    from evidently import Report
    from evidently.metrics import MissingValueCount, RowCount
    from evidently.presets import DataDriftPreset

    columns = [name for name in current if current[name].notna().any() and reference[name].notna().any()]
    if not columns:
        return None
    frames = [
        frame[columns].sample(min(_ROWS, len(frame)), random_state=0, ignore_index=True)
        for frame in (current, reference)
    ]
    counts = [RowCount(), *(MissingValueCount(column=name) for name in columns)]
    metrics = [DataDriftPreset(columns=columns, method="psi", threshold=0.25), *counts]
    with np.errstate(invalid="ignore"):  # of a constant column it makes a correlation, which is nothing
        return Report(metrics, include_tests=True).run(*frames)
