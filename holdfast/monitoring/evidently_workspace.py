"""Evidently workspace: one project per view, one report per day.

Only this module uses names that Evidently does not document (``evidently.core``, ``evidently.legacy``, the workspace's
folder layout). ``tests/unit/monitoring/test_evidently_workspace.py`` has a contract test for each of these names.
"""

import json
import os
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.core.atomic_files import replace_file
from holdfast.monitoring.findings import View

if TYPE_CHECKING:
    from evidently.core.report import Snapshot as EvidentlyReport
    from evidently.sdk.models import DashboardModel

TITLES: dict[View, str] = {
    "data": "Transactions of the day, compared with the weeks before",
    "drift": "Inputs and scores of the service, compared with the population at training",
    "skew": "Logged features, compared with recomputed features",
    "outcome": "Scores, compared with outcomes",
    "spend": "Expected spend, compared with outcomes",
}
_NAMESPACE = uuid.UUID("5f3b6f0e-2c63-4a57-9a34-6a3c5d2f7b10")  # any constant
_MAX_ROWS = 20_000  # per sample of a report


def project_name(view: View) -> str:
    """Return the name of a view's project in Evidently's UI.

    Args:
        view: Name of the view.

    Returns:
        The project's name.
    """
    return f"Holdfast: {view}"


def save_report(settings: Settings, view: View, report: "EvidentlyReport", as_of: datetime, keep_days: int) -> Path:
    """Write a report to the workspace, and delete the reports of more than ``keep_days`` before it.

    The identifiers are derived from names, so that concurrent runs write the same project, and a day has one report
    (the latest; a report takes a megabyte). Files are replaced atomically, because Evidently's UI fails on a partial
    report.

    Args:
        settings: Settings with the workspace's folder.
        view: Name of the view.
        report: The report.
        as_of: End of the window.
        keep_days: Days to keep older reports.

    Returns:
        The file of the report.
    """
    from evidently.ui.workspace import ProjectModel

    name = project_name(view)
    project = ProjectModel(id=uuid.uuid5(_NAMESPACE, name), name=name, description=TITLES[view])
    folder = settings.evidently / str(project.id)
    if not (folder / "dashboard.json").exists():
        _write(folder / "metadata.json", project.dict())
        _write(folder / "dashboard.json", _build_dashboard(view).dict())
    snapshot = report.to_snapshot_model()
    snapshot.name, snapshot.timestamp = f"{view}, {as_of:%Y-%m-%d %H:%M} UTC", as_of.replace(tzinfo=None)
    path = folder / "snapshots" / f"{uuid.uuid5(project.id, as_utc(as_of).date().isoformat())}.json"
    _write(path, snapshot.dict())
    os.utime(path, (as_of.timestamp(), as_of.timestamp()))  # the age of a report is known without reading the file
    for other in path.parent.glob("*.json"):
        if other.stat().st_mtime < (as_of - timedelta(days=keep_days)).timestamp():
            other.unlink(missing_ok=True)
    return path


def build_drift_report(current: pd.DataFrame, reference: pd.DataFrame) -> "EvidentlyReport | None":
    """Build a report with PSI and missing values of each column.

    Args:
        current: Current values.
        reference: Reference values, with the same columns; both are sampled to 20,000 rows.

    Returns:
        The report on the columns with values in both; None without such a column.
    """
    from evidently import Report
    from evidently.metrics import MissingValueCount, RowCount
    from evidently.presets import DataDriftPreset

    columns = [name for name in current if current[name].notna().any() and reference[name].notna().any()]
    if not columns:
        return None
    samples = [
        frame[columns].sample(min(_MAX_ROWS, len(frame)), random_state=0, ignore_index=True)
        for frame in (current, reference)
    ]
    counts = [RowCount(), *(MissingValueCount(column=name) for name in columns)]
    metrics = [DataDriftPreset(columns=columns, method="psi", threshold=0.25), *counts]
    with np.errstate(invalid="ignore"):  # Evidently computes the correlation of a constant column, which is NaN
        return Report(metrics, include_tests=True).run(*samples)


def _build_dashboard(view: View) -> "DashboardModel":
    """Build the project's first page: a title, and of the drift view the daily number of columns with drift."""
    from evidently.sdk.models import DashboardModel, DashboardTabModel, PanelMetric
    from evidently.sdk.panels import line_plot_panel, text_panel

    panels = [text_panel(title=TITLES[view], description="The tab Reports has one report per day.")]
    if view == "drift":
        count = PanelMetric(legend="columns", metric="DriftedColumnsCount", metric_labels={"value_type": "count"})
        panels.append(line_plot_panel(title="Columns with drift according to Evidently", values=[count]))
    for panel in panels:
        panel.id = uuid.uuid5(_NAMESPACE, f"{view} {panel.title}")
    tab_id = uuid.uuid5(_NAMESPACE, f"{view} days")
    return DashboardModel(
        tabs=[DashboardTabModel(id=tab_id, title="Days", panels=[panel.id for panel in panels])], panels=panels
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    from evidently.legacy.utils import NumpyEncoder

    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(content, cls=NumpyEncoder), encoding="utf-8")
