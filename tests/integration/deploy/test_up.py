"""End-to-end test of `make up`, from an empty folder to a served champion, with killed processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.local_stack import SERVERS, LocalStack, running_stack, stack_environment
from tests.support.main_job import ROOT
from tests.support.prefect_server import open_api
from tests.support.server_processes import wait_for_response
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PARTS = ("Prefect", "MLflow", "Evidently", "Feast")


def run_deployment(stack: LocalStack, name: str, parameters: dict[str, str]) -> str:
    """Start a flow run of a deployment, again while the server is overloaded; returns its id."""
    body = {"state": {"type": "SCHEDULED"}, "parameters": parameters, "idempotency_key": str(uuid.uuid4())}

    def create() -> str:
        with contextlib.suppress(httpx.TimeoutException), open_api(stack.url("prefect", "/api"), stack.password) as api:
            found = api.get(f"/deployments/name/{name}/{name}", timeout=60)
            if found.is_success:
                created = api.post(f"/deployments/{found.json()['id']}/create_flow_run", json=body, timeout=60)
                return str(created.json()["id"]) if created.is_success else ""
        return ""

    return str(wait_for(create, 120, stack.server.output))


def read_flow_run(stack: LocalStack, run_id: str) -> dict[str, Any]:
    """Read a flow run; returns an empty dict while the server is overloaded."""
    time.sleep(1)  # requests slow the server down
    try:
        auth = tuple(stack.password.split(":", 1))
        response = httpx.get(stack.url("prefect", f"/api/flow_runs/{run_id}"), timeout=60, auth=auth)
    except httpx.TimeoutException:
        return {}
    return dict(response.json()) if response.is_success else {}


def test_make_up_serves_a_champion_survives_kills_and_ends_cleanly(tmp_path: Path) -> None:
    with running_stack(tmp_path / "data", ["make", "up"], PREFECT_WORKER_QUERY_SECONDS="1") as stack:
        stack.wait_for_output("Status page: ")
        printed = stack.server.output()
        for name in set(SERVERS) - {"service"}:
            assert f"{name:<11}  {stack.url(name).rstrip('/')}\n" in printed
        assert "worker       ready" in printed
        assert "service      waits for a champion" in printed
        state = stack.state()
        assert {
            part["name"]: part["state"] for part in state["parts"]["value"] if part["name"] in PARTS
        } == dict.fromkeys(PARTS, "up")
        assert state["models"]["churn"]["value"]["champion"] is None
        assert "trains the first version" in httpx.get(stack.url("status"), timeout=60).text
        assert {run["deployment"] for run in state["runs"]["value"]} >= {"daily", "monitor", "rollout", "recover"}
        assert httpx.get(stack.url("prefect", "/api/admin/version"), timeout=60).status_code == 401
        assert f"All pages, signed in: {(stack.data / 'local' / 'pages.html').as_uri()}\n" in printed
        _check_second_start_is_rejected(stack)
        _check_make_env_exports_addresses(stack)
        _check_killed_worker_restarts(stack)
        _check_new_champion_is_served(stack)
        _check_killed_service_restarts(stack)
        _check_end_terminates_flow_runs(stack)


def _check_second_start_is_rejected(stack: LocalStack) -> None:
    command = [sys.executable, "-m", "deploy.local"]
    second = subprocess.run(
        command, cwd=ROOT, env=stack_environment(stack.data), capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert f"already runs on {stack.data} ({stack.url('status').rstrip('/')})" in second.stderr


def _check_make_env_exports_addresses(stack: LocalStack) -> None:
    command = ["make", "-s", "env"]
    exported = subprocess.run(
        command, cwd=ROOT, env=stack_environment(stack.data), capture_output=True, text=True, check=True
    )
    assert f"export PREFECT_API_URL={stack.url('prefect', '/api')}\n" in exported.stdout
    assert f"export HOLDFAST_SERVICE_URL={stack.url('service').rstrip('/')}\n" in exported.stdout
    assert f"export HOLDFAST_RUNBOOK_URL={stack.url('status', '/runbook')}\n" in exported.stdout


def _check_killed_worker_restarts(stack: LocalStack) -> None:
    killed = stack.process("worker start")
    os.kill(killed, signal.SIGKILL)
    stack.wait_for_output("worker       had ended, and is started again")
    wait_for(lambda: stack.server.output().count("worker       ready") == 2, 60, stack.server.output)
    assert stack.process("worker start") != killed


def _check_new_champion_is_served(stack: LocalStack) -> None:
    job = run_deployment(stack, "lifecycle", {})

    def is_completed() -> bool:
        found = read_flow_run(stack, job)
        assert found.get("state_type") not in ("FAILED", "CRASHED", "CANCELLED"), found["state"]
        return found.get("state_type") == "COMPLETED"

    wait_for(is_completed, 400, stack.server.output)
    stack.wait_for_output(f"service      {stack.url('service').rstrip('/')}\n")
    wait_for(lambda: httpx.get(stack.url("service", "/readyz")).status_code == 200, 60, stack.server.output)
    state = stack.state()
    assert state["models"]["churn"]["value"]["champion"]["version"] == "1"
    assert [item["state"] for item in state["freshness"]["value"]] == ["fresh"]
    assert {part["state"] for part in state["parts"]["value"]} == {"up"}
    (run,) = (run for run in state["runs"]["value"] if run["deployment"] == "lifecycle")
    assert run["state"] == "Completed"


def _check_killed_service_restarts(stack: LocalStack) -> None:
    """The workers of the killed service are in other sessions and keep its port."""
    os.kill(stack.process("bentoml serve services.churn"), signal.SIGKILL)
    stack.wait_for_output("service      had ended, and is started again")
    serving = f"service      {stack.url('service').rstrip('/')}\n"
    wait_for(lambda: stack.server.output().count(serving) == 2, 90, stack.server.output)
    wait_for_response(stack.server, stack.url("service", "/readyz"))


def _check_end_terminates_flow_runs(stack: LocalStack) -> None:
    training = run_deployment(stack, "train", {"as_of": "1998-05-01T00:00:00Z"})
    pid = wait_for(lambda: read_flow_run(stack, training).get("infrastructure_pid"), 60, stack.server.output)
    process_id = int(str(pid).rpartition(":")[2])
    assert psutil.pid_exists(process_id)
    assert stack.end(signal.SIGINT) in (0, 2, -signal.SIGINT)  # make maps a signal to another exit status
    assert not psutil.pid_exists(process_id)
    assert "Traceback" not in stack.server.output()
