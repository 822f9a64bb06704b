"""The retraining flow on the small shop: why it trains, why not, and what it leaves."""

import json
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.alerting.outbox import list_open_alerts
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import RetrainingRecord, parse_events
from holdfast.models.contract import MODEL_NAME
from holdfast.monitoring.metrics_store import MetricRow, write_metrics
from holdfast.retraining.attempt_log import BadAttemptError
from tests.support.shop_fixtures import QUICK, Trained
from tests.support.small_shop import AS_OF, use_data_folder

pytestmark = pytest.mark.long

OTHER = QUICK.model_copy(update={"seed": 7})
DRIFTED = MetricRow("psi", "recency_days", 0.41, 300, limit=0.25, breached=True)


@pytest.fixture
def home(trained: Trained, flows_in_process: None, tmp_path: Path) -> Iterator[Settings]:
    """A copy of the trained shop, with this process at work there."""
    with use_data_folder(Path(shutil.copytree(trained.data, tmp_path / "data"))) as settings:
        yield settings


def write_breaches(settings: Settings, row: MetricRow, *days_ago: int, view: Any = "drift") -> None:
    for day in days_ago:
        end = AS_OF - timedelta(days=day)
        write_metrics(settings, view, end - timedelta(days=1), end, [row])


def retrained(**options: Any) -> Any:
    from flows.retrain import retrain

    return retrain(**({"as_of": AS_OF, "training": QUICK} | options)).models["churn"]


def attempts(settings: Settings) -> list[tuple[datetime, str]]:
    from holdfast.retraining.attempt_log import list_attempts

    return [(item.as_of, item.status) for item in list_attempts(settings)]


def artifact() -> str:
    from prefect.artifacts import Artifact

    found = Artifact.get("retraining")
    assert found is not None
    return str(found.data)


def test_retrain_without_persistent_finding_is_skipped(home: Settings) -> None:
    write_breaches(home, DRIFTED, 0)
    result = retrained(event="holdfast.drift.detected", subject="recency_days")
    assert (result.retrained, result.version) == (False, None)
    assert "no finding is in 2 of the latest 5 windows" in artifact()
    assert "Caused by holdfast.drift.detected about recency_days." in artifact()
    assert attempts(home) == []


def test_retrain_drift_of_other_version_is_skipped(home: Settings) -> None:
    write_breaches(home, MetricRow("psi", "recency_days", 0.41, 300, version="999", limit=0.25, breached=True), 0, 1)
    assert not retrained().retrained


def test_retrain_data_finding_other_than_shift_is_skipped(home: Settings) -> None:
    write_breaches(home, MetricRow("rows", "transactions", 0, 10, limit=5, breached=True), 0, 1, view="data")
    assert not retrained().retrained
    write_breaches(
        home, MetricRow("shift", "transactions.price", 0.3, 500, limit=0.1, breached=True), 0, 1, view="data"
    )
    from holdfast.retraining.policy import decide_retraining
    from holdfast.retraining.settings import RetrainingRules
    from holdfast.retraining.signals import read_signals as read

    decision = decide_retraining(read(home, AS_OF, None), [], RetrainingRules(), AS_OF)
    assert decision.why == "holdfast.drift.detected about transactions.price in 2 of the latest 2 windows"


def test_retrain_open_skew_is_skipped(home: Settings) -> None:
    write_breaches(home, DRIFTED, 0, 1)
    write_breaches(home, MetricRow("values_different", "frequency", 7, 300, limit=0, breached=True), 0, view="skew")
    result = retrained()
    assert not result.retrained
    assert result.why.startswith("the features served differ from those recomputed (frequency;")
    reason = "holdfast.drift.detected about recency_days in 2 of the latest 2 windows"
    assert f"Otherwise the reason would be: {reason}" in artifact()


def test_retrain_existing_version_is_found_without_retraining_record(home: Settings, trained: Trained) -> None:
    """The same data and settings give no second version; and it was not this retraining that made the first."""
    from holdfast.training.mlflow_client import open_tracking

    write_breaches(home, DRIFTED, 0, 1)
    result = retrained(event="holdfast.drift.detected", subject="recency_days")
    assert (result.retrained, result.version) == (True, trained.result.model_version)
    assert RetrainingRecord.load(open_tracking(home), result.version) is None
    assert attempts(home) == [(AS_OF, "done")]
    again = retrained()
    assert not again.retrained
    assert "at most 1 a day" in again.why


@pytest.mark.long
def test_retrain_killed_before_report_is_reported_by_the_next_run(
    home: Settings, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import _retraining as module

    reports: list[str] = []

    def report(*_: object) -> None:
        reports.append("reported")
        if len(reports) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "report_retraining_task", report)
    write_breaches(home, DRIFTED, 0, 1)
    with pytest.raises(KeyboardInterrupt):
        retrained()
    assert attempts(home) == [(AS_OF, "begun")]
    assert retrained().version == trained.result.model_version
    assert (attempts(home), reports) == ([(AS_OF, "done")], ["reported", "reported"])


def test_retrain_report_fails_attempt_counts_for_the_cool_down(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import _retraining as module

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "report_retraining_task", full)
    write_breaches(home, DRIFTED, 0, 1)
    with pytest.raises(OSError, match="No space left"):
        retrained()
    assert attempts(home) == [(AS_OF, "done")]


@pytest.mark.long
def test_retrain_later_run_of_other_view_does_not_hide_drift(home: Settings) -> None:
    write_breaches(home, DRIFTED, 0, 1)
    later = AS_OF + timedelta(minutes=30)
    write_metrics(home, "data", later - timedelta(days=1), later, [MetricRow("shift", "transactions.amount", 0.01, 60)])
    assert retrained(as_of=later).retrained


def test_retrain_without_cause_run_is_skipped(home: Settings) -> None:
    from flows.retrain import retrain

    state: Any = retrain(as_of=AS_OF, training=QUICK, return_state=True)
    assert (state.name, state.type.value) == ("Skipped", "COMPLETED")
    assert "no finding is in" in state.message


def test_retrain_failed_attempt_counts_for_its_day_and_is_repeated(home: Settings) -> None:
    write_breaches(home, DRIFTED, 0, 1)
    with pytest.raises(ValueError, match="cut-offs"):
        retrained(training=QUICK.model_copy(update={"min_history_days": 5000}))
    assert attempts(home) == [(AS_OF, "failed")]
    assert "at most 1 a day" in retrained().why


def test_retrain_invalid_attempt_file_raises(home: Settings) -> None:
    folder = home.monitoring / "retrainings"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("{")
    with pytest.raises(BadAttemptError, match=r"x\.json is no record"):
        retrained()


@pytest.mark.long
def test_retrain_new_version_has_its_cause_and_alert_of_failed_gates(home: Settings) -> None:
    from holdfast.training.mlflow_client import open_tracking

    write_breaches(home, DRIFTED, 0, 1)
    strict = GateSettings(max_size_mb=0.000001)
    result = retrained(event="holdfast.drift.detected", subject="recency_days", training=OTHER, thresholds=strict)
    client = open_tracking(home)
    record = RetrainingRecord.load(client, result.version)
    assert record is not None
    assert record.why == "holdfast.drift.detected about recency_days in 2 of the latest 2 windows"
    assert (record.as_of, record.prompted) == (AS_OF, "holdfast.drift.detected about recency_days")
    events = parse_events(client.get_model_version(MODEL_NAME, result.version).tags, result.version)
    assert events is not None and record in events
    assert (result.passed, result.challenger) == (False, False)
    (alert,) = [item for item in list_open_alerts(home) if item.key.startswith("holdfast.retraining.refused")]
    assert alert.severity == "info"
    assert f"Version {result.version}, retrained because of {record.why}" in alert.text
    files = list((home.monitoring / "retrainings").glob("*.json"))
    assert [json.loads(file.read_text())["version"] for file in files] == [result.version]
