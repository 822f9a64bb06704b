"""Automations for real: a Prefect server, the deployments of prefect.yaml and a worker; events, and a killed run.

A run that falls silent together with its worker takes minutes to be missed, by Prefect's least heartbeat: the scenario
killed-training of `simulations` shows it, and tests/unit/recovery what is judged.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from feature_repo.settings import Settings
from holdfast.alerting.outbox import list_open_alerts
from holdfast.recovery.policy import HANDLED_TAG
from holdfast.runtime.endpoints import run_url
from holdfast.runtime.processes import free_port
from tests.support.main_job import ROOT, environment_of, run
from tests.support.prefect_server import post, send
from tests.support.server_processes import running_server, wait_for_response
from tests.support.small_shop import AS_OF, copy_shop, use_data_folder
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
BURST = ("recency_days", "frequency", "monetary_mean")  # in which order they are looked at is up to the server
FINDINGS = [
    ("holdfast.skew.detected", "skew", "recency_days"),
    *(("holdfast.drift.detected", "drift", subject) for subject in BURST),
    ("holdfast.freshness.breached", "data", "scores"),
    ("holdfast.freshness.breached", "data", "champion"),
    ("holdfast.freshness.breached", "data", "online store"),
]
EMIT = """
import json, sys
from datetime import datetime
from holdfast.alerting.events import emit_finding
from holdfast.monitoring.findings import Finding
for event, view, subject in json.loads(sys.argv[2]):
    found = Finding(event=event, severity="warning", subject=subject, summary="PSI 0.41", payload={"psi": 0.41})
    assert emit_finding(found, view, datetime.fromisoformat(sys.argv[1]))
"""


@dataclass
class World:
    """A shop, a server with some of the deployments, and a worker; everything in FINDINGS has been emitted."""

    settings: Settings
    api: httpx.Client

    def deployments(self) -> dict[str, dict[str, Any]]:
        return {item["name"]: item for item in post(self.api, "/deployments/filter", {})}

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """The runs of a deployment that did not come from its schedule, the oldest first."""
        body = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return [item for item in post(self.api, "/flow_runs/filter", body) if not item["auto_scheduled"]]

    def start(self, deployment: str, parameters: dict[str, Any]) -> str:
        found = self.deployments()[deployment]
        return str(post(self.api, f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})["id"])

    def over(self, deployment: str, count: int = 1) -> list[dict[str, Any]]:
        """The runs of a deployment, once so many have ended and none is under way."""

        def found() -> list[dict[str, Any]] | None:
            runs = self.runs(deployment)
            return runs if len(runs) >= count and all(item["state_type"] in OVER for item in runs) else None

        return wait_for(found, 240, lambda: f"{[(r['name'], r['state']) for r in self.runs(deployment)]}")

    def quiet(self) -> None:
        """No deployment runs by its schedule."""
        for item in self.deployments().values():
            for schedule in item["schedules"]:
                send(self.api, "DELETE", f"/deployments/{item['id']}/schedules/{schedule['id']}")

    def kill(self, deployment: str) -> str:
        """SIGKILL the process of its only run once it is at work; the run."""

        def at_work() -> tuple[str, psutil.Process] | None:
            for found in self.runs(deployment):
                assert found["state_type"] not in OVER, found["state"]
                if found["state_type"] == "RUNNING" and found["infrastructure_pid"]:
                    return found["id"], psutil.Process(int(found["infrastructure_pid"]))
            return None

        flow_run, process = wait_for(at_work, 120, lambda: f"{[r['state'] for r in self.runs(deployment)]}")
        for child in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        return flow_run


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Deployed as in README.md."""
    folder, port = tmp_path_factory.mktemp("automations"), free_port()
    data = copy_shop(folder)
    with use_data_folder(data, HOLDFAST_CLOCK=AS_OF.isoformat()) as settings:
        environment = environment_of(data) | settings.environment()
        environment |= {
            "HOLDFAST_CLOCK": AS_OF.isoformat(),
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        (folder / "home").mkdir()
        command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        with running_server(command, environment, folder / "server.log") as server:
            wait_for_response(server, f"http://127.0.0.1:{port}/api/health")
            url = environment["PREFECT_API_URL"]
            with httpx.Client(base_url=url, timeout=90) as api, _working(environment, folder):
                wait_for(lambda: api.get("/work_pools/holdfast").is_success, 60, lambda: "no work pool")
                names = [part for name in ("retrain", "recover", "alerts", "features") for part in ("-n", name)]
                prefect_file = str(ROOT / "prefect.yaml")
                run(["prefect", "--no-prompt", "deploy", *names, "--prefect-file", prefect_file], environment)
                made = World(settings, api)
                made.quiet()
                python = str(ROOT / ".venv/bin/python")
                run([python, "-c", EMIT, AS_OF.isoformat(), json.dumps(FINDINGS)], environment)
                yield made


@contextlib.contextmanager
def _working(environment: dict[str, str], folder: Path) -> Iterator[None]:
    """A worker, which makes the pool."""
    command = ["prefect", "worker", "start", "--pool", "holdfast", "--type", "process"]
    with running_server(command, environment, folder / "worker.log"):
        yield


def test_features_killed_run_for_stale_store_runs_again(world: World) -> None:
    """The event starts it; the worker sees it die: Crashed, an alert, the same once more, and then it is over."""
    first = world.kill("features")
    killed, again = world.over("features", 2)
    assert (killed["id"], killed["state_type"], again["state_type"]) == (first, "CRASHED", "COMPLETED"), again["state"]
    assert again["parameters"] == killed["parameters"]
    assert set(again["tags"]) >= {"holdfast", "run-again:1", f"first-run:{first}"}
    (recovered,) = world.over("recover")
    assert recovered["parameters"]["flow_run_id"] == f"prefect.flow-run.{first}"
    assert HANDLED_TAG in world.runs("features")[0]["tags"]
    (alert,) = list_open_alerts(world.settings)
    assert (alert.key, alert.severity) == ("holdfast.run.crashed:features", "warning")
    assert "SIGKILL" in alert.text
    assert alert.text.endswith(f"It is repeated, repetition 1: {run_url(again['id'])}")
    assert alert.evidence_url.endswith(f"/runs/flow-run/{first}")
    world.start("alerts", {})
    world.over("alerts")
    assert list_open_alerts(world.settings) == [], "a later run has completed"
    assert len(world.runs("features")) == 2, "neither stale scores nor a stale champion fill a store"


def test_retrain_drift_events_start_one_run_with_their_parameters(world: World) -> None:
    (only,) = world.over("retrain")  # neither the skew nor the rest of the burst has started another
    assert only["state_type"] == "COMPLETED", only["state"]
    given = only["parameters"]
    assert given["event"] == "holdfast.drift.detected"
    assert given["subject"] in BURST
    assert datetime.fromisoformat(given["as_of"]) == AS_OF
    body = {"artifacts": {"flow_run_id": {"any_": [only["id"]]}}}
    (artifact,) = post(world.api, "/artifacts/filter", body)
    assert "**No retraining**" in artifact["data"]
    assert "no finding is in 2 of the latest 5 windows" in artifact["data"]
    assert f"Caused by holdfast.drift.detected about {given['subject']}" in artifact["data"]


def test_retrain_two_concurrent_runs_one_is_cancelled(world: World) -> None:
    before = len(world.over("retrain"))
    started = [world.start("retrain", {}) for _ in range(2)]
    runs = world.over("retrain", before + 2)[before:]
    assert {item["id"] for item in runs} == set(started)
    assert sorted(item["state_type"] for item in runs) == ["CANCELLED", "COMPLETED"], [item["state"] for item in runs]
