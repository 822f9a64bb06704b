"""Evidently's workspace: one project per view, one report per day, none for longer than it is kept."""

import threading
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


def test_evidently_finds_what_was_kept(report: Any, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    for hours in (0, 1, 24):  # two of one day
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


def test_the_first_page_of_a_project_is_not_empty(report: Any, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    for view in get_args(View):
        save_report(settings, view, report, DAY, 90)
        (project,) = workspace(settings).search_project(project_name(view))
        panels = project.dashboard.model().panels
        assert panels[0].title == TITLES[view]
        run = workspace(settings).get_run(project.id, workspace(settings).list_runs(project.id)[0])
        measured = {value.metric_value_location.metric.params["type"] for value in run.metric_results.values()}
        assert {value.metric for panel in panels for value in panel.values} <= measured


def test_old_reports_go(report: Any, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    first = save_report(settings, "data", report, DAY, 30)
    kept = save_report(settings, "data", report, DAY + timedelta(days=30), 30)
    assert first.exists() and kept.exists()
    save_report(settings, "data", report, DAY + timedelta(days=31), 30)
    assert kept.exists() and not first.exists()
    assert not [path for path in settings.evidently.rglob("*") if "writing" in path.name]


def test_two_runs_at_once_share_a_project(report: Any, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    moments = [DAY + timedelta(days=number) for number in range(4)]
    threads = [threading.Thread(target=save_report, args=(settings, "skew", report, time, 90)) for time in moments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = workspace(settings)
    assert [len(found.list_runs(project.id)) for project in found.list_projects()] == [4]


def test_a_column_without_values_is_left_out_and_none_left_is_no_report(report: Any) -> None:
    assert "c" not in {str(value.get("column")) for value in _columns(report)}
    assert build_drift_report(pd.DataFrame({"a": [np.nan]}), pd.DataFrame({"a": [1.0]})) is None


def _columns(report: Any) -> list[dict[str, Any]]:
    return [dict(metric["config"]) for metric in report.dict()["metrics"]]
