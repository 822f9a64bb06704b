"""Evidently workspace: one project per view, one report per day, retention, and contracts of private names."""

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.monitoring.evidently_workspace import TITLES, build_drift_report, project_name, save_report
from holdfast.monitoring.findings import View

DAY = datetime(1998, 5, 1, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def report() -> Any:
    rng = np.random.default_rng(0)
    current = pd.DataFrame({"a": rng.normal(size=60), "b": 1.0, "c": np.nan})
    return build_drift_report(current, pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"]))


def workspace(settings: Settings) -> Any:
    from evidently.ui.workspace import Workspace

    return Workspace(str(settings.evidently))


def test_save_report_is_read_by_evidently(report: Any, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    for hours in (0, 1, 24):  # two reports of one day
        save_report(settings, "drift", report, DAY + timedelta(hours=hours), 90)
    save_report(settings, "data", report, DAY, 90)
    found = workspace(settings)
    assert sorted(project.name for project in found.list_projects()) == ["Holdfast: data", "Holdfast: drift"]
    project = found.search_project(project_name("drift"))[0]
    times = sorted(found.get_run(project.id, run).timestamp for run in found.list_runs(project.id))
    assert times == [datetime(1998, 5, 1, 7), datetime(1998, 5, 2, 6)]  # noqa: DTZ001
    run = found.get_run(project.id, found.list_runs(project.id)[0])
    shown = {value.display_name for value in run.metric_results.values()}
    assert shown >= {"Value drift for a", "Value drift for b", "Column 'a' missing values"}


def test_save_report_dashboard_has_panels_with_measured_metrics(report: Any, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    for view in get_args(View):
        save_report(settings, view, report, DAY, 90)
        (project,) = workspace(settings).search_project(project_name(view))
        panels = project.dashboard.model().panels
        assert panels[0].title == TITLES[view]
        run = workspace(settings).get_run(project.id, workspace(settings).list_runs(project.id)[0])
        measured = {value.metric_value_location.metric.params["type"] for value in run.metric_results.values()}
        assert {value.metric for panel in panels for value in panel.values} <= measured


def test_save_report_deletes_old_reports(report: Any, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    first = save_report(settings, "data", report, DAY, 30)
    second = save_report(settings, "data", report, DAY + timedelta(days=30), 30)
    assert first.exists() and second.exists()
    save_report(settings, "data", report, DAY + timedelta(days=31), 30)
    assert second.exists() and not first.exists()
    assert not [path for path in settings.evidently.rglob("*") if "writing" in path.name]


def test_save_report_concurrent_runs_share_project(report: Any, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    times = [DAY + timedelta(days=number) for number in range(4)]
    threads = [threading.Thread(target=save_report, args=(settings, "skew", report, time, 90)) for time in times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = workspace(settings)
    assert [len(found.list_runs(project.id)) for project in found.list_projects()] == [4]


def test_build_drift_report_skips_empty_columns(report: Any) -> None:
    assert "c" not in {str(value.get("column")) for value in _columns(report)}
    assert build_drift_report(pd.DataFrame({"a": [np.nan]}), pd.DataFrame({"a": [1.0]})) is None


def _columns(report: Any) -> list[dict[str, Any]]:
    return [dict(metric["config"]) for metric in report.dict()["metrics"]]


def test_evidently_legacy_numpy_encoder_contract() -> None:
    from evidently.legacy.utils import NumpyEncoder

    values = {"float": np.float64(0.5), "int": np.int64(3), "array": np.arange(2), "flag": np.bool_(True)}
    values["id"] = uuid.UUID(int=1)
    encoded = json.loads(json.dumps(values, cls=NumpyEncoder))
    assert encoded == {"float": 0.5, "int": 3, "array": [0, 1], "flag": True, "id": str(uuid.UUID(int=1))}


def test_evidently_core_snapshot_contract(report: Any) -> None:
    from evidently.core.report import Snapshot

    assert isinstance(report, Snapshot)
    snapshot = report.to_snapshot_model()
    snapshot.name, snapshot.timestamp = "name", datetime(1998, 5, 1)  # noqa: DTZ001
    content = snapshot.dict()
    assert content["name"] == "name"
    assert {"metric_results", "timestamp"} <= content.keys()


def test_evidently_project_model_contract() -> None:
    from evidently.ui.workspace import ProjectModel

    content = ProjectModel(id=uuid.UUID(int=1), name="name", description="text").dict()
    assert (content["id"], content["name"], content["description"]) == (uuid.UUID(int=1), "name", "text")


def test_evidently_dashboard_model_contract() -> None:
    from evidently.sdk.models import DashboardModel, DashboardTabModel
    from evidently.sdk.panels import text_panel

    panel = text_panel(title="title", description="text")
    panel.id = uuid.UUID(int=2)
    tab = DashboardTabModel(id=uuid.UUID(int=3), title="Days", panels=[panel.id])
    content = DashboardModel(tabs=[tab], panels=[panel]).dict()
    assert (content["tabs"][0]["panels"], content["panels"][0]["id"]) == ([panel.id], panel.id)
