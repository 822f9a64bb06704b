"""Automations for real: a Prefect server, the deployments of prefect.yaml and a worker; events, and killed runs."""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from feature_repo.settings import Settings
from flows.alerting.outbox import open_alerts
from flows.monitoring.metrics_table import MetricRow, write_metrics
from tests.conftest import ROOT, environment_of, run
from tests.e2e.processes import Server, answering, eventually, free_port, serving
from tests.flows.conftest import QUICK
from tests.flows.prefect_server import post
from tests.flows.small_shop import AS_OF, KNOWN_AT, at_work_on, build_features, copy_shop

pytestmark = pytest.mark.long

PREFECT_FILE = ROOT / "prefect.yaml"
_WORKERS = count(1)
OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
EMIT = """
import sys
from datetime import datetime
from flows.acting.events import emit
from flows.monitoring.findings import Finding
event, view, as_of, *subjects = sys.argv[1:]
for subject in subjects:
    found = Finding(event=event, severity="warning", subject=subject, summary="PSI 0.41", payload={"psi": 0.41})
    assert emit(found, view, datetime.fromisoformat(as_of))
"""


@dataclass
class World:
    """A shop with features, a server with its deployments, and the worker's command."""

    settings: Settings
    environment: dict[str, str]
    api: httpx.Client
    folder: Path

    def deployments(self) -> dict[str, dict[str, Any]]:
        return {item["name"]: item for item in post(self.api, "/deployments/filter", {})}

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """The runs of a deployment that did not come from its schedule, the oldest first."""
        body = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return [item for item in post(self.api, "/flow_runs/filter", body) if not item["auto_scheduled"]]

    def start(self, deployment: str, parameters: dict[str, Any]) -> str:
        found = self.deployments()[deployment]
        return str(post(self.api, f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})["id"])

    def emit(self, event: str, view: str, as_of: datetime, *subjects: str) -> None:
        run([str(ROOT / ".venv/bin/python"), "-c", EMIT, event, view, as_of.isoformat(), *subjects], self.environment)

    @contextlib.contextmanager
    def working(self) -> Iterator[Server]:
        command = ["prefect", "worker", "start", "--pool", "holdfast", "--type", "process"]
        with serving(command, self.environment, self.folder / f"worker-{next(_WORKERS)}.log") as worker:
            yield worker

    def over(self, deployment: str, count: int = 1, within: float = 240) -> list[dict[str, Any]]:
        """The runs of a deployment, once so many have ended and none is under way."""

        def found() -> list[dict[str, Any]] | None:
            runs = self.runs(deployment)
            return runs if len(runs) >= count and all(item["state_type"] in OVER for item in runs) else None

        return eventually(found, within, lambda: f"{[(r['name'], r['state']) for r in self.runs(deployment)]}")

    def quiet(self) -> None:
        """No deployment runs by its schedule."""
        for item in self.deployments().values():
            for schedule in item["schedules"]:
                self.api.delete(f"/deployments/{item['id']}/schedules/{schedule['id']}").raise_for_status()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Deployed as README.md says; heartbeats as frequent as Prefect lets them be."""
    folder, port = tmp_path_factory.mktemp("automations"), free_port()
    data = copy_shop(folder)
    with at_work_on(data) as settings:
        build_features(settings)
    environment = environment_of(data) | settings.environment()
    environment |= {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    (folder / "home").mkdir()
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, environment, folder / "server.log") as server:
        answering(server, f"http://127.0.0.1:{port}/api/health")
        run(["prefect", "work-pool", "create", "holdfast", "--type", "process"], environment)
        names = [part for name in ("train", "retrain", "recover", "alerts") for part in ("-n", name)]
        run(["prefect", "--no-prompt", "deploy", *names, "--prefect-file", str(PREFECT_FILE)], environment)
        with httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=90) as api:
            made = World(settings, environment, api, folder)
            made.quiet()
            yield made


def seen_drift(settings: Settings, *days_ago: int) -> None:
    """Windows of the drift view in which one feature has drifted."""
    for day in days_ago:
        end = AS_OF - timedelta(days=day)
        rows = [MetricRow("psi", "recency_days", 0.41, 300, limit=0.25, breached=True)]
        write_metrics(settings, "drift", end - timedelta(days=1), end, rows)


def test_an_event_of_drift_leads_to_one_decision_with_the_right_parameters(world: World) -> None:
    with world.working():
        world.emit("holdfast.skew.detected", "skew", AS_OF, "recency_days")
        burst = ("recency_days", "frequency", "monetary_mean")  # in which order they are looked at is up to the server
        world.emit("holdfast.drift.detected", "drift", AS_OF, *burst)
        (only,) = world.over("retrain")
        assert world.runs("retrain") == [only], "neither the skew nor the rest of the burst starts another"
        assert only["state_type"] == "COMPLETED", only["state"]
        given = only["parameters"]
        assert given["event"] == "holdfast.drift.detected"
        assert given["subject"] in burst
        assert datetime.fromisoformat(given["as_of"]) == AS_OF
        body = {"artifacts": {"flow_run_id": {"any_": [only["id"]]}}}
        (artifact,) = post(world.api, "/artifacts/filter", body)
        assert "**No retraining**" in artifact["data"]
        assert "no finding is in 2 of the latest 5 windows" in artifact["data"]
        assert f"Prompted by holdfast.drift.detected about {given['subject']}" in artifact["data"]


def test_two_events_far_apart_never_run_at_once(world: World) -> None:
    with world.working():
        before = len(world.runs("retrain"))
        for subject in ("a", "b", "c"):
            world.emit("holdfast.quality.dropped", "outcome", AS_OF, subject)  # several seconds each
        runs = world.over("retrain", before + 1)[before:]
    times = sorted((item["start_time"], item["end_time"]) for item in runs if item["state_type"] == "COMPLETED")
    assert times
    assert all(first[1] <= second[0] for first, second in pairwise(times))


def test_a_run_whose_process_is_killed_runs_again_to_its_end(world: World) -> None:
    """The worker sees it die: Crashed, an alert, and the same once more with the same parameters."""
    parameters = {"as_of": AS_OF.isoformat(), "known_at": KNOWN_AT.isoformat(), "training": QUICK.model_dump()}
    with world.working():
        first = world.start("train", parameters)
        kill(world, first)
        runs = world.over("train", 2)
    assert [item["state_type"] for item in runs] == ["CRASHED", "COMPLETED"], [item["state"] for item in runs]
    killed, again = runs
    assert killed["id"] == first
    assert again["parameters"] == killed["parameters"]
    assert set(again["tags"]) >= {"holdfast", "run-again:1", f"first-run:{first}"}
    assert "seen-to" in world.over("train", 2)[0]["tags"]
    (alert,) = [item for item in open_alerts(world.settings) if item.key == "holdfast.run.crashed:train"]
    assert "SIGKILL" in alert.text
    assert "It runs again as" in alert.text
    assert alert.evidence.endswith(f"/runs/flow-run/{first}")
    assert alert.severity == "warning"


def test_a_run_that_fell_silent_with_its_worker_is_marked_and_runs_again(world: World) -> None:
    """Nobody saw it die: the missing heartbeats tell, its place is free again, and another worker takes it up."""
    before = len(world.runs("train"))
    # another seed: else the version of the test before is found, and it is over before it is killed
    training = QUICK.model_copy(update={"seed": 5}).model_dump()
    with world.working() as worker:
        first = world.start(
            "train", {"as_of": AS_OF.isoformat(), "known_at": KNOWN_AT.isoformat(), "training": training}
        )
        beaten(world, first)
        kill(world, first, worker)
    with world.working():
        runs = world.over("train", before + 2, within=420)[before:]
    killed, again = runs
    assert (killed["id"], killed["state_type"], again["state_type"]) == (first, "CRASHED", "COMPLETED"), again["state"]
    assert "nothing was heard of it since" in killed["state"]["message"]
    assert again["parameters"] == killed["parameters"]
    with world.working():
        world.start("alerts", {})
        world.over("alerts")
    assert not [item for item in open_alerts(world.settings) if item.key == "holdfast.run.crashed:train"], "it is over"


def beaten(world: World, flow_run: str) -> None:
    """Wait for its first heartbeat."""
    body = {
        "filter": {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "resource": {"id": [f"prefect.flow-run.{flow_run}"]},
        }
    }
    eventually(lambda: post(world.api, "/events/filter", body)["events"], 90, lambda: "it never beat")


def kill(world: World, flow_run: str, with_worker: Server | None = None) -> None:
    """SIGKILL its process once it is at work."""

    def at_work() -> psutil.Process | None:
        found = world.api.get(f"/flow_runs/{flow_run}").json()
        assert found["state_type"] not in OVER, found["state"]
        if found["state_type"] != "RUNNING" or not found["infrastructure_pid"]:
            return None
        return psutil.Process(int(found["infrastructure_pid"]))

    process = eventually(at_work, 90, lambda: str(world.api.get(f"/flow_runs/{flow_run}").json()["state"]))
    if with_worker:
        os.killpg(with_worker.process.pid, signal.SIGKILL)
    for child in [*process.children(recursive=True), process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
