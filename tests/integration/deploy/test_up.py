"""`make up` for real, from an empty folder to a champion that serves, with a killed worker in between."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.local_stack import NAMES, Up, up, variables
from tests.support.main_job import ROOT
from tests.support.server_processes import wait_for, wait_for_response

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PARTS = ("Prefect", "MLflow", "Evidently", "Feast")


def run_deployment(up: Up, name: str, parameters: dict[str, str]) -> str:
    """Have the worker run a deployment; the id of the flow run."""
    with httpx.Client(base_url=up.url("prefect", "/api"), timeout=60) as api:
        found = api.get(f"/deployments/name/{name}/{name}").json()
        body = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
        return str(api.post(f"/deployments/{found['id']}/create_flow_run", json=body).json()["id"])


def flow_run(up: Up, number: str) -> dict[str, Any]:
    """It, as the server has it; nothing where that is too busy to say."""
    time.sleep(1)  # asking is work for it, too
    try:
        answer = httpx.get(up.url("prefect", f"/api/flow_runs/{number}"), timeout=60)
    except httpx.TimeoutException:
        return {}
    return dict(answer.json()) if answer.is_success else {}


def test_from_nothing_to_a_served_champion_and_down_again(tmp_path: Path) -> None:
    with up(tmp_path / "data", ["make", "up"], PREFECT_WORKER_QUERY_SECONDS="1") as here:
        here.says("All of it: ")
        printed = here.server.output()
        for name in set(NAMES) - {"service"}:
            assert f"{name:<11}  {here.url(name).rstrip('/')}\n" in printed
        assert "worker       ready" in printed
        assert "service      waits for a champion" in printed
        state = here.state()
        assert {
            part["name"]: part["state"] for part in state["parts"]["value"] if part["name"] in PARTS
        } == dict.fromkeys(PARTS, "up")
        assert state["models"]["value"]["champion"] is None
        assert "None yet" in httpx.get(here.url("status"), timeout=60).text
        assert {run["deployment"] for run in state["runs"]["value"]} >= {"daily", "monitor", "rollout", "recover"}
        _a_second_one_is_refused(here)
        _others_find_its_server(here)
        _a_killed_worker_comes_back(here)
        _a_champion_is_served_as_soon_as_there_is_one(here)
        _a_killed_service_comes_back(here)
        _ends_with_all_its_runs(here)


def _a_second_one_is_refused(here: Up) -> None:
    command = [sys.executable, "-m", "deploy.local"]
    second = subprocess.run(command, cwd=ROOT, env=variables(here.data), capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert f"runs already on {here.data} ({here.url('status').rstrip('/')})" in second.stderr


def _others_find_its_server(here: Up) -> None:
    command = ["make", "-s", "env"]
    exported = subprocess.run(command, cwd=ROOT, env=variables(here.data), capture_output=True, text=True, check=True)
    assert f"export PREFECT_API_URL={here.url('prefect', '/api')}\n" in exported.stdout
    assert f"export HOLDFAST_SERVICE_URL={here.url('service').rstrip('/')}\n" in exported.stdout
    assert f"export HOLDFAST_RUNBOOK_URL={here.url('status', '/runbook')}\n" in exported.stdout


def _a_killed_worker_comes_back(here: Up) -> None:
    killed = here.process("worker start")
    os.kill(killed, signal.SIGKILL)
    here.says("worker       had ended, and is started again")
    wait_for(lambda: here.server.output().count("worker       ready") == 2, 60, here.server.output)
    assert here.process("worker start") != killed


def _a_champion_is_served_as_soon_as_there_is_one(here: Up) -> None:
    job = run_deployment(here, "lifecycle", {})

    def is_over() -> bool:
        found = flow_run(here, job)
        assert found.get("state_type") not in ("FAILED", "CRASHED", "CANCELLED"), found["state"]
        return found.get("state_type") == "COMPLETED"

    wait_for(is_over, 400, here.server.output)
    here.says(f"service      {here.url('service').rstrip('/')}\n")
    wait_for(lambda: httpx.get(here.url("service", "/readyz")).status_code == 200, 60, here.server.output)
    state = here.state()
    assert state["models"]["value"]["champion"]["version"] == "1"
    assert state["freshness"]["value"]["state"] == "fresh"
    assert {part["state"] for part in state["parts"]["value"]} == {"up"}
    (run,) = (run for run in state["runs"]["value"] if run["deployment"] == "lifecycle")
    assert run["state"] == "Completed"


def _a_killed_service_comes_back(here: Up) -> None:
    """Its workers are in sessions of their own, and keep its port."""
    os.kill(here.process("bentoml serve services.churn"), signal.SIGKILL)
    here.says("service      had ended, and is started again")
    serving = f"service      {here.url('service').rstrip('/')}\n"
    wait_for(lambda: here.server.output().count(serving) == 2, 90, here.server.output)
    wait_for_response(here.server, here.url("service", "/readyz"))


def _ends_with_all_its_runs(here: Up) -> None:
    training = run_deployment(here, "train", {"as_of": "1998-05-01T00:00:00Z"})
    pid = wait_for(lambda: flow_run(here, training).get("infrastructure_pid"), 60, here.server.output)
    number = int(str(pid).rpartition(":")[2])
    assert psutil.pid_exists(number)
    assert here.end(signal.SIGINT) in (0, 2, -signal.SIGINT)  # make tells of a signal in its own way
    assert not psutil.pid_exists(number)
    assert "Traceback" not in here.server.output()
