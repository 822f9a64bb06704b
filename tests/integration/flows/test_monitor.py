"""The monitor flow: metrics, artifacts, events, alerts and reports of views; a failed view stops no other."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert
from holdfast.alerting.outbox import add_alert, list_open_alerts
from holdfast.monitoring.evidently_workspace import project_name
from holdfast.monitoring.findings import View
from holdfast.monitoring.metrics_store import read_metrics
from tests.support.daily_transactions import TODAY, daily_shop, deliver, purchases
from tests.support.small_shop import use_data_folder

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def busy(flows_in_process: None, tmp_path: Path) -> Iterator[Settings]:
    with daily_shop(tmp_path) as settings:
        yield settings


def test_monitor_finding_is_stored_published_and_resolved(busy: Settings) -> None:
    from evidently.ui.workspace import Workspace
    from prefect.artifacts import Artifact

    from flows.monitor import monitor

    began = datetime.now(UTC)
    found = monitor(TODAY + DAY, TODAY + DAY + HOUR, ["data"])
    assert [(item.event, item.subject) for item in found.findings] == [("holdfast.data.late", "transactions")]
    assert list(found.views) == ["data"]
    stored = read_metrics(busy, "data")
    assert stored.loc[stored["breached"], "metric"].tolist() == ["rows"]
    assert stored["as_of"].unique().tolist() == [TODAY + DAY]

    table, plot = Artifact.get("monitor-data"), Artifact.get("monitor-data-plot")
    assert table is not None and plot is not None
    assert table.description is not None and table.description.startswith(found.views["data"])
    assert "rows on Fri 2024-03-08" in str(table.data)
    assert str(plot.data).startswith("data:image/png;base64,")

    (alert,) = list_open_alerts(busy)
    assert (alert.key, alert.source, alert.severity) == (found.findings[0].key, "monitor.data", "warning")
    assert alert.opened >= began
    assert alert.evidence_url.endswith("/artifacts/key/monitor-data")

    deliver(busy, purchases(TODAY, 60), TODAY + DAY + 2 * HOUR)
    again = monitor(TODAY + DAY, TODAY + DAY + 2 * HOUR, ["data"])
    assert again.findings == ()
    assert list_open_alerts(busy) == []
    assert not read_metrics(busy, "data")["breached"].any()
    workspace = Workspace(str(busy.evidently))
    (project,) = workspace.search_project(project_name("data"))
    assert len(workspace.list_runs(project.id)) == 1


def test_monitor_one_view_fails_runs_the_others(busy: Settings) -> None:
    from flows.monitor import MonitorError, monitor

    (busy.monitoring / "metrics").mkdir(parents=True)
    (busy.monitoring / "metrics" / "drift").write_text("where a folder should be")
    with pytest.raises(MonitorError, match=r"Failed views \(1 of 2\): drift: \w+Error: .*metrics/drift"):
        monitor(TODAY + DAY, TODAY + DAY + HOUR, ["drift", "data"])
    assert read_metrics(busy, "data")["breached"].any()
    assert [alert.source for alert in list_open_alerts(busy)] == ["monitor.data"]


def test_monitor_artifact_fails_still_alerts(busy: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import monitor

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("the artifact is too large")

    monkeypatch.setattr(monitor, "publish_table", fails)
    with pytest.raises(monitor.MonitorError, match="data: RuntimeError: the artifact is too large"):
        monitor.monitor(TODAY + DAY, TODAY + DAY + HOUR, ["data"])
    assert [alert.key for alert in list_open_alerts(busy)] == ["holdfast.data.late:transactions"]


def test_monitor_empty_folder_has_no_findings(flows_in_process: None, tmp_path: Path) -> None:
    from flows.monitor import monitor

    with use_data_folder(tmp_path / "empty") as settings:
        found = monitor(TODAY)
        assert list(found.views) == list(get_args(View))
        assert found.findings == ()
        assert all(len(read_metrics(settings, view)) for view in get_args(View))


def test_monitor_past_window_changes_no_alert(busy: Settings) -> None:
    from prefect.artifacts import Artifact

    from flows.monitor import monitor

    assert monitor(TODAY + DAY, TODAY + DAY + HOUR, ["data"]).findings, "today's transactions are missing"
    assert monitor(TODAY, TODAY + HOUR, ["data"]).past == (), "a look ahead makes no past of now"
    add_alert(
        busy,
        Alert.for_subject("holdfast.data.late", "transactions", "warning", "few"),
        datetime.now(UTC),
        "monitor.data",
    )
    (alert,), now = list_open_alerts(busy), Artifact.get("monitor-data")
    before = monitor(TODAY - DAY, TODAY + HOUR, ["data"])
    assert (before.past, before.findings) == (("data",), ())
    assert list_open_alerts(busy) == [alert]
    shown, past = Artifact.get("monitor-data"), Artifact.get("monitor-data-past")
    assert now is not None and shown is not None and shown.id == now.id
    assert past is not None and str(past.description).startswith(before.views["data"])
    assert monitor(TODAY, TODAY + HOUR, ["data"]).past == (), "the newest one again is not the past"


def test_monitor_metrics_not_storable_still_alerts(busy: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.monitor import MonitorError, monitor
    from holdfast.alerting import events
    from holdfast.monitoring import metrics_store

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    emitted: list[str] = []
    monkeypatch.setattr(events, "emit_finding", lambda finding, *_: emitted.append(finding.key))
    monkeypatch.setattr(metrics_store, "write_metrics", full)
    with pytest.raises(MonitorError, match="No space left"):
        monitor(TODAY + DAY, TODAY + DAY + HOUR, ["data"])
    assert [alert.key for alert in list_open_alerts(busy)] == emitted == ["holdfast.data.late:transactions"]
    monkeypatch.setattr(events, "raise_alerts", full)
    with pytest.raises(MonitorError, match="No space left"):
        monitor(TODAY + DAY, TODAY + DAY + HOUR, ["data"])
    assert len(emitted) == 2


def test_monitor_without_requests_keeps_the_skew_alert_open(busy: Settings) -> None:
    """Without requests for a day, the absence of skew is unknown."""
    from flows.monitor import monitor

    add_alert(
        busy, Alert.for_subject("holdfast.skew.detected", "recency", "critical", "1"), datetime.now(UTC), "monitor.skew"
    )
    add_alert(
        busy, Alert.for_subject("holdfast.drift.detected", "x", "warning", "2"), datetime.now(UTC), "monitor.drift"
    )
    monitor(TODAY, TODAY + HOUR, ["skew", "drift"])
    assert len(list_open_alerts(busy)) == 2


def test_monitor_window_without_data_reports_no_data(busy: Settings) -> None:
    from flows.monitor import monitor

    found = monitor(datetime(1990, 1, 1, tzinfo=UTC))
    assert found.empty == get_args(View)
    text = found.summary()
    assert "no data in the window" in text and "no findings" not in text


@pytest.mark.parametrize(("clock", "ahead"), [("data", TODAY + 30 * DAY), ("wall", datetime(2999, 1, 1, tzinfo=UTC))])
def test_monitor_future_window_raises(flows_in_process: None, tmp_path: Path, clock: str, ahead: datetime) -> None:
    from flows.monitor import monitor
    from holdfast.ingestion.as_of import ClockError

    with daily_shop(tmp_path, clock) as settings:
        with pytest.raises(ClockError, match="in the future"):
            monitor(ahead)
        assert not len(read_metrics(settings, "data"))
