"""Status page over real state: versions, alerts, metrics, scores, and a Prefect server."""

import html
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markupsafe import escape
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert
from holdfast.alerting.outbox import raise_alerts
from holdfast.batch_scoring.scores_table import scores_path
from holdfast.core.definition_hashes import feature_fingerprint
from holdfast.feast_stores.open_store import open_store, version_folder
from holdfast.feature_store.definition_versions import list_versions
from holdfast.feature_store.materialization import OnlineState
from holdfast.feature_store.parity import ParityReport, save_parity
from holdfast.model_versions.aliases import set_challenger, set_champion
from holdfast.model_versions.records import GatesRecord, PromotionRecord, RolloutRecord, TrafficRecord
from holdfast.models.contract import MODEL_NAME, SERVED_MODEL_TAG, ScoredExample
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow, write_metrics
from holdfast.runtime.endpoints import EndpointSettings
from holdfast.runtime.prefect_access import CLIENT_PASSWORD
from holdfast.runtime.processes import free_port
from holdfast.status_page.app import create_app
from holdfast.status_page.deployments import load_deployments
from holdfast.status_page.health import check_components
from holdfast.status_page.models import load_models
from holdfast.status_page.status_models import ComponentStatus, DeploymentStatus, ModelStatus
from holdfast.status_page.system_status import SystemStatus, load_system_status
from holdfast.training.mlflow_client import EXPERIMENT, open_tracking
from tests.support.definition_versions import change_window, register_changed, remove_feature
from tests.support.prefect_server import open_api, post, send
from tests.support.registry import build_contract, copy_empty_database
from tests.support.small_shop import AS_OF, KNOWN_AT, prefect_api, register_definitions, use_data_folder

NOW = datetime(2024, 7, 3, 12, tzinfo=UTC)
EXAMPLE = ScoredExample(inputs=[0.0, 1.0, None], churn_probability=0.5)
HOSTILE = "<script>alert('x')</script>\"'&"


def browser_of(status: SystemStatus) -> TestClient:
    """Create a client of the page that shows ``status``."""
    return TestClient(create_app(["testserver"], lambda: status))


def unreachable(prefect: str = "") -> EndpointSettings:
    """Create endpoints where nothing answers, except for Prefect if given."""
    urls = {f"{name}_url": f"http://127.0.0.1:{free_port()}" for name in ("service", "mlflow", "evidently", "feast")}
    return EndpointSettings(
        **urls, prefect_url=prefect or f"http://127.0.0.1:{free_port()}", runbook_url="http://x/runbook"
    )


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Settings]:
    """Prepare a promoted champion, a challenger on a canary, and features that are two days old."""
    with use_data_folder(tmp_path / "data", HOLDFAST_CLOCK=NOW.isoformat()) as settings:
        copy_empty_database(settings.mlflow)
        client = open_tracking(settings)
        client.create_registered_model(MODEL_NAME)
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        first, _ = (
            client.create_model_version(MODEL_NAME, str(tmp_path), client.create_run(experiment).info.run_id)
            for _ in range(2)
        )
        client.log_metric(first.run_id, "test.model.roc_auc", 0.711)
        promoted = {"who": "ann", "why": "first", "mode": "auto", "gates": "k"}
        PromotionRecord(previous=None, when=NOW - timedelta(days=3), **promoted).save(client, "1")
        set_champion(client, "1")
        set_challenger(client, "2")
        TrafficRecord(mode="canary", share=0.05, when=NOW, who="rollout").save(client, "2")
        begun = {"share": 0.05, "begun": NOW, "when": NOW, "champion": "1", "gates": "k", "why": HOSTILE}
        RolloutRecord(step="canary", verdict="begun", **begun).save(client, "2")
        fill_version(settings, register_definitions(), AS_OF)
        yield settings


def fill_version(settings: Settings, version: str, as_of: datetime, mismatches: int = 0) -> None:
    """Record a materialization and a parity report of a version of the feature definitions."""
    online = OnlineState(as_of, KNOWN_AT, "t")
    state_path(settings, version).write_bytes(TypeAdapter(OnlineState).dump_json(online))
    save_parity(settings, version, ParityReport(as_of, 300, 18, 5400, mismatches, []), KNOWN_AT, {})


def state_path(settings: Settings, version: str) -> Path:
    return settings.data / version_folder(version) / "online_state.json"


def test_page_shows_the_state_of_every_source(state: Settings, prefect_server: None) -> None:
    settings = state
    finding = Finding(event="holdfast.drift.detected", severity="warning", subject=HOSTILE, summary="PSI 0.41.")
    raise_alerts(settings, "drift", [Alert.from_finding(finding, "javascript:alert(1)")], NOW - timedelta(hours=2))
    rows = [
        MetricRow("psi", HOSTILE, 0.41, 3120, "1", limit=0.25, breached=True),
        MetricRow("psi", "recency", float("nan"), 0, "1", limit=0.25),
    ]
    write_metrics(settings, "drift", AS_OF - timedelta(days=2), AS_OF - timedelta(days=1), rows[1:])
    write_metrics(settings, "drift", AS_OF - timedelta(days=1), AS_OF, rows)
    ages = [("transactions", 30.0, 60), (f"events[{HOSTILE}]", 75.0, 0), ("online store", 60.0, 1)]
    rows = [MetricRow("age_hours", subject, age, 1) for subject, age, _ in ages]
    rows += [MetricRow("rows", subject, count, count, breached=not count) for subject, _, count in ages[:2]]
    write_metrics(settings, "data", AS_OF - timedelta(days=1), AS_OF, rows)

    found = load_system_status(settings, unreachable(prefect_api().removesuffix("/api")), NOW)
    churn, spend = (found.models[name].value for name in ("churn", "spend"))
    assert churn is not None
    assert churn.champion is not None
    assert churn.challenger is not None
    assert churn.champion.version == "1"
    assert churn.champion.since == NOW - timedelta(days=3)
    assert [item.value for item in churn.champion.test_metrics] == [0.711]
    assert spend == ModelStatus(champion=None, challenger=None)
    assert churn.challenger.traffic == "canary for 5.0% of the customers"
    assert [(item.state, item.age_hours) for item in found.freshness.value or []] == [("stale", 60)]
    assert [(item.values_compared, item.mismatches) for item in found.parity.value or []] == [(5400, 0)]
    assert found.scores == type(found.scores)()
    drift = next(view for view in found.views.value or [] if view.view == "drift")
    assert (drift.as_of, drift.measured, drift.breached) == (AS_OF, 1, 1)
    assert [(item.source, item.age_hours, item.rows, item.late) for item in found.sources.value or []] == [
        (f"events[{HOSTILE}]", 75, 0, True),
        ("transactions", 30, 60, False),
    ]
    assert found.deployments.error == ""
    assert {item.name: item.state for item in found.components.value or []}["Prefect"] == "up"
    assert found.level == "bad"  # four components are down

    with browser_of(found) as browser:
        response = browser.get("/")
        text = html.unescape(re.sub(r"<[^>]+>", " ", response.text))
        for shown in (
            "version 1",
            "version 2",
            "0.711",
            "5.0% of the customers",
            "0.410, limit 0.250",
            "events[",
            "late",
            "stale",
            "down",
        ):
            assert shown in text, shown
        assert "since 2024-07-03 10:00 UTC" in text
        assert "of the feature definitions" not in text, "there is one version"
        assert "<script" not in response.text
        assert response.text.count(str(escape(HOSTILE))) > 3  # in an alert, measurements, a source and a rollout
        assert 'href="javascript:' not in response.text
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert browser.get("/state.json").json()["models"]["churn"]["value"]["champion"]["version"] == "1"
        assert browser.get("/style.css").headers["content-type"].startswith("text/css")


def test_check_components_finds_the_worker_by_its_heartbeat(prefect_server: None) -> None:
    prefect = prefect_api().removesuffix("/api")

    def worker() -> ComponentStatus:
        return next(item for item in check_components(unreachable(prefect)) if item.name == "worker")

    assert (worker().state, worker().note) == ("down", "no worker is online, so no scheduled run starts")
    with open_api(prefect_api(), os.environ[CLIENT_PASSWORD]) as api:
        post(api, "/work_pools/", {"name": "holdfast", "type": "process"})
        try:
            send(api, "POST", "/work_pools/holdfast/workers/heartbeat", {"name": "w"})
            assert worker().state == "up"
        finally:
            send(api, "DELETE", "/work_pools/holdfast")
    assert next(item for item in check_components(unreachable()) if item.name == "worker").state == "down"


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ({}, "good"),
        ({"freshness": {"state": "stale"}}, "warning"),
        ({"freshness": {"state": "unknown"}}, "warning"),
        ({"freshness": {"state": "expired"}}, "bad"),
        ({"parity": {"mismatches": 1}}, "bad"),
        ({"parity": {"problem": "There is no parity report."}}, "warning"),
        ({"components": "down"}, "bad"),
        ({"components": "not ready"}, "warning"),
    ],
)
def test_level_is_the_worst_of_all_sections(changed: dict[str, Any], level: str, state: Settings) -> None:
    found = load_system_status(state, unreachable(), NOW)
    (freshness,), (compared,) = found.freshness.value or [], found.parity.value or []
    fresh = freshness.model_copy(update={"state": "fresh"})
    changed_fresh = fresh.model_copy(update=changed.get("freshness", {}))
    parity = compared.model_copy(update=changed.get("parity", {}))
    worker = ComponentStatus(name="worker", url="", state=changed.get("components", "up"))
    values: dict[str, Any] = {
        "freshness": [fresh, changed_fresh],
        "parity": [compared, parity],
        "components": [worker],
        "deployments": [],
    }
    sections = {
        name: getattr(found, name).model_copy(update={"value": value, "error": ""}) for name, value in values.items()
    }
    assert found.model_copy(update=sections).level == level


def test_each_version_of_the_feature_definitions_in_use_is_shown(state: Settings) -> None:
    """Without contracts in the registry, all registered versions may be in use."""
    first, second = list_versions(state)[0], register_changed(change_window)
    fill_version(state, second, AS_OF + timedelta(days=2), mismatches=3)
    third = register_changed(remove_feature)
    found = load_system_status(state, unreachable(), NOW)
    by_version = {item.version: item for item in found.freshness.value or []}
    assert {version: item.state for version, item in by_version.items()} == {
        first: "stale", second: "fresh", third: "unknown",
    }  # fmt: skip
    assert {item.version: item.mismatches for item in found.parity.value or [] if item.as_of} == {first: 0, second: 3}
    with browser_of(found) as browser:
        text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", browser.get("/").text)).split())
    assert f"Version {second} of the feature definitions: 12 h old fresh" in text
    assert f"Version {second} of the feature definitions: Parity: 3 mismatches in 5,400 values" in text
    no_features = "The online store has no completed materialization."
    assert f"Version {third} of the feature definitions: {no_features}" in text
    assert f"There is no parity report of version {third}" in text

    shutil.rmtree(state.data / version_folder(second))
    registry = open_tracking(state)
    parts = feature_fingerprint(open_store(definitions=third))
    contract = build_contract(None, b"", fingerprint=parts, examples=[EXAMPLE])
    registry.set_model_version_tag(MODEL_NAME, "1", SERVED_MODEL_TAG, contract.model_dump_json())
    found = load_system_status(state, unreachable(), NOW)
    assert [item.version for item in found.freshness.value or []] == [third], "the version that the champion needs"
    shutil.rmtree(state.data / version_folder(third))
    (lost,) = load_system_status(state, unreachable(), NOW).freshness.value or []
    assert lost.state == "unknown"
    assert f"{third} of the feature definitions is not registered" in lost.problem


def test_view_without_measurements_is_not_shown_as_good(state: Settings) -> None:
    start = AS_OF - timedelta(days=1)
    write_metrics(state, "skew", start, AS_OF, [MetricRow("values_compared", "all", 0.0, 0)])
    write_metrics(state, "data", start, AS_OF, [MetricRow("rows", "all", 40.0, 40, low=20.0, high=60.0)])
    write_metrics(state, "drift", start, AS_OF, [MetricRow("rows", "all", 0.0, 0, breached=True)])  # a finding
    found = load_system_status(state, unreachable(), NOW)
    assert {view.view: view.measured for view in found.views.value or []} == {
        "data": 1, "drift": 1, "skew": 0, "outcome": 0, "spend": 0,
    }  # fmt: skip
    with browser_of(found) as browser:
        page = browser.get("/").text
    assert page.count("no data") == page.count("within limits") == page.count("1 beyond limits") == 1
    assert "within limits</span> 1 measurement<" in page


def test_batch_scores_count_churners_among_active_customers_only(state: Settings) -> None:
    about = {"as_of": AS_OF.isoformat(), "known_at": KNOWN_AT.isoformat(), "model_version": "1", "threshold": 0.5}
    table = pa.table({"active": [True] * 3 + [False] * 4, "will_churn": [True] + [False] * 2 + [True] * 4})
    state.scores.mkdir()
    stored = table.replace_schema_metadata({b"holdfast": json.dumps(about | {"key": "k"}).encode()})
    pq.write_table(stored, scores_path(state.scores, AS_OF))
    found = load_system_status(state, unreachable(), NOW)
    assert found.scores.value is not None
    assert (found.scores.value.customers, found.scores.value.active, found.scores.value.churning) == (7, 3, 1)
    with browser_of(found) as browser:
        page = browser.get("/").text
    assert "3 active customers" in page
    assert "Predicted to churn: 1 of the active customers" in page


def test_run_cancelled_before_its_start_does_not_hide_the_running_one(prefect_server: None) -> None:
    """A deployment's concurrency limit cancels runs before their start."""
    name = f"limited-{uuid4().hex}"
    running = {"type": "RUNNING", "name": "Running"}
    cancelled = {"type": "CANCELLED", "name": "Cancelled", "message": "Deployment concurrency limit reached."}
    with open_api(prefect_api(), os.environ[CLIENT_PASSWORD]) as api:
        flow = post(api, "/flows/", {"name": name})["id"]
        about = {"name": name, "flow_id": flow, "tags": ["holdfast"]}
        deployment = post(api, "/deployments/", about)["id"]

        def status_after(*states: dict[str, str], by: str | None = deployment) -> DeploymentStatus:
            run = {"flow_id": flow, "deployment_id": by}
            number = post(api, "/flow_runs/", run | {"state": {"type": "PENDING"}})["id"]
            for state in states:
                response = post(api, f"/flow_runs/{number}/set_state", {"state": state, "force": True})
                assert response["status"] == "ACCEPT"
            endpoints = unreachable(prefect_api().removesuffix("/api"))
            (status,) = [item for item in load_deployments(endpoints) if item.deployment == name]
            return status

        try:
            assert status_after(cancelled).state == "never run"
            assert status_after(running).state == "Running"
            time.sleep(0.1)
            again = status_after(cancelled)
            assert again.state == "Running"
            assert again.seconds is not None
            assert again.seconds > 0.1
            found = load_system_status(Settings(), unreachable(prefect_api().removesuffix("/api")), NOW)
            with browser_of(found) as browser:
                assert " so far" in browser.get("/").text
            assert status_after(running, cancelled | {"message": "By an operator."}).state == "Cancelled"
            from_a_terminal = status_after(running, {"type": "COMPLETED", "name": "Completed"}, by=None)
            assert from_a_terminal.state == "Completed"
        finally:
            send(api, "DELETE", f"/deployments/{deployment}")
            send(api, "DELETE", f"/flows/{flow}")


def test_empty_data_folder_is_not_an_error(data_dir: Path) -> None:
    found = load_system_status(Settings(), unreachable(), NOW)
    sections = (*found.models.values(), found.alerts, found.views, found.scores, found.sources)
    assert {section.error for section in sections} == {""}
    assert found.sources.value == []
    assert (found.freshness.value, found.parity.value) == ([], [])
    assert "does not respond" in found.deployments.error
    text = browser_of(found).get("/").text
    assert "make run" in text
    assert "python -m flows.train --model spend" in text
    assert "python -m flows.features" in text
    assert text.count("no run yet") == 5
    assert not data_dir.exists(), "reading the state creates nothing"


def test_sources_fail_independently(state: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    unreachable_registry = f"http://ann:secret@127.0.0.1:{free_port()}"
    settings = state.model_copy(update={"mlflow_tracking_uri": unreachable_registry})
    settings.alerts.write_bytes(b"no database")
    folder = settings.monitoring / "metrics" / "skew"
    folder.mkdir(parents=True)
    (folder / "20240701T000000Z.parquet").write_bytes(b"no table")
    (version,) = list_versions(settings)
    state_path(settings, version).write_text("{")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found = load_system_status(settings, unreachable(), NOW)
    sections = ("freshness", "views", "alerts", "deployments")
    assert [name for name in sections if not getattr(found, name).error] == []
    assert all(section.error for section in found.models.values())
    assert found.parity.value is not None
    with browser_of(found) as browser:
        response = browser.get("/")
        assert response.status_code == 200
        assert response.text.count("Unavailable:") == len(sections) + 2 * len(found.models)  # champion and challenger
        assert "secret" not in response.text + browser.get("/state.json").text


def test_models_fail_independently(state: Settings) -> None:
    """A damaged record of the spend model hides neither the champion of churn nor the reason."""
    client, name = open_tracking(state, "holdfast-spend"), "holdfast-spend"
    client.create_registered_model(name)
    run = client.create_run(client.get_experiment_by_name(name).experiment_id).info.run_id
    client.create_model_version(name, "nowhere", run)
    for metric, value in {"deviance": 14.8, "deviance.low": 14.2, "deviance.high": 15.6}.items():
        client.log_metric(run, f"test.model.{metric}", value)
    client.set_registered_model_alias(name, "champion", "1")
    spend = load_models(state, unreachable())["spend"].value
    assert spend is not None
    assert spend.champion is not None
    assert (spend.champion.version, "holdfast-spend/versions/1" in spend.champion.page) == ("1", True)
    (measured,) = spend.champion.test_metrics
    assert (measured.metric, measured.value, measured.low, measured.high) == ("Tweedie deviance", 14.8, 14.2, 15.6)
    client.set_model_version_tag(name, "1", GatesRecord.TAG, "{")
    found = load_models(state, unreachable())
    assert (found["churn"].error, bool(found["spend"].error)) == ("", True)
    assert found["churn"].value is not None


def test_request_with_another_host_header_is_rejected(data_dir: Path) -> None:
    """Guard against DNS rebinding: a page of another site must not read the state."""
    browser = TestClient(create_app([], lambda: load_system_status(Settings(), unreachable(), NOW)))
    assert browser.get("/state.json", headers={"host": "evil.example"}).status_code == 400
