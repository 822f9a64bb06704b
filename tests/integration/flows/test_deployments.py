"""Deployments for real: a Prefect server, `prefect deploy`, a worker, and runs that the worker picks up."""

import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from holdfast.runtime.processes import free_port
from tests.support.deployments import ENQUEUED, FURTHER_SCHEDULES, PARAMETERS, REQUIRED, SCHEDULES, SWITCHED_OFF
from tests.support.main_job import ROOT, MainJob, file_states, run
from tests.support.prefect_server import open_api, post, send
from tests.support.server_processes import ServerProcess, running_server, wait_for_response
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

CREATE_POOL = "prefect work-pool create holdfast --type process"
DEPLOY = "prefect --no-prompt deploy --all"
WORK = "prefect worker start --pool holdfast"

AUTOMATIONS = {
    "refill the online store",
    "recover a silent run",
    "recover a run that crashed or failed",
    "retrain on drift or a loss of performance",
    "roll out a new challenger",
}


@dataclass(frozen=True)
class Deployed:
    """A server with everything deployed, a worker that polls it every second, and its API."""

    server: ServerProcess
    worker: ServerProcess
    api: httpx.Client
    output: str

    def deployments(self) -> dict[str, dict[str, Any]]:
        """By name, as the server has them."""
        return {item["name"]: item for item in post(self.api, "/deployments/filter", {})}

    def schedule(self, deployment: str, seconds: float, parameters: dict[str, Any]) -> str:
        """Have ``deployment`` run ``seconds`` from now; the id of the flow run."""
        due = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
        found = self.deployments()[deployment]
        body = {"state": scheduled, "parameters": parameters}
        return str(post(self.api, f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def run(self, flow_run: str) -> dict[str, Any]:
        """A flow run as the server has it now."""
        return dict(send(self.api, "GET", f"/flow_runs/{flow_run}").json())

    def ended(self, flow_run: str, within: float = 180) -> dict[str, Any]:
        """A flow run once it has ended, however."""

        def is_over() -> dict[str, Any] | None:
            found = self.run(flow_run)
            return found if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

        return wait_for(is_over, within, lambda: f"{self.run(flow_run)['state']}\n{self.worker.output()[-4000:]}")

    def artifacts(self, flow_run: str) -> dict[str, dict[str, Any]]:
        """The artifacts of a flow run by key."""
        body = {"artifacts": {"flow_run_id": {"any_": [flow_run]}}}
        return {item["key"]: item for item in post(self.api, "/artifacts/filter", body)}


@pytest.fixture(scope="module")
def deployed(main_job: MainJob, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The commands of README.md, against a server of the test's own."""
    folder, port = tmp_path_factory.mktemp("prefect"), free_port()
    exported = run(["make", "-s", "env"], main_job.environment)
    block = dict(line.removeprefix("export ").split("=", 1) for line in exported.splitlines())
    password = (main_job.data / "local" / "prefect-password").read_text().strip()  # the shell would read the file
    read = {name: password if value.startswith('"$(cat ') else value.strip("'") for name, value in block.items()}
    environment = main_job.environment | read
    environment |= {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
    }
    (folder / "home").mkdir()
    start = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with running_server(start, environment, folder / "server.log") as server:
        wait_for_response(server, f"http://127.0.0.1:{port}/api/health")
        printed = run(CREATE_POOL.split(), environment)
        with (
            running_server(
                WORK.split(), environment, folder / "worker.log"
            ) as worker,  # it comes up while the flows deploy
            open_api(environment["PREFECT_API_URL"], password) as api,
        ):
            printed += run(DEPLOY.split(), environment)
            yield Deployed(server, worker, api, printed)
            worker.end(signal.SIGTERM)


def test_deploy_creates_a_deployment_of_every_flow(deployed: Deployed) -> None:
    found = deployed.deployments()
    assert found.keys() == SCHEDULES.keys()
    for name, deployment in found.items():
        function = name.replace("-", "_")
        assert deployment["entrypoint"] == f"flows/{function}.py:{function}"
        assert deployment["description"], f"{name} has no description"
        assert deployment["tags"], f"{name} has no tags"
        assert deployment["work_pool_name"] == "holdfast"
        assert deployment["paused"] is False
        (step,) = deployment["pull_steps"]
        assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(ROOT)


def test_deploy_prints_no_warning(deployed: Deployed) -> None:
    for name in SCHEDULES:
        assert f"Deployment '{name}/{name}' successfully created" in re.sub(r"\s+", " ", deployed.output)
    assert not re.search(r"Warning|Traceback|deprecat|[Ee]rror|could not", deployed.output)


def test_deploy_schedules_equal_prefect_yaml(deployed: Deployed) -> None:
    for name, deployment in deployed.deployments().items():
        further = FURTHER_SCHEDULES.get(name, {})
        planned = {item["schedule"]["cron"]: item["parameters"] for item in deployment["schedules"]}
        assert planned == ({SCHEDULES[name]: {}} if SCHEDULES[name] else {}) | further, name
        assert {item["schedule"]["timezone"] for item in deployment["schedules"]} <= {"UTC"}
        assert all(item["active"] is (name not in SWITCHED_OFF) for item in deployment["schedules"])


def test_scheduler_plans_runs_of_active_schedules(deployed: Deployed) -> None:
    """A broken set of libraries lets it start and schedule nothing."""

    wanted = {name for name, cron in SCHEDULES.items() if cron} - SWITCHED_OFF

    def planned() -> set[str] | None:
        runs = post(deployed.api, "/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})
        ids = {run["deployment_id"] for run in runs}
        names = {name for name, item in deployed.deployments().items() if item["id"] in ids}
        return names if names >= wanted else None

    names = wait_for(planned, 60, lambda: f"no scheduled runs:\n{deployed.server.output()[-3000:]}")
    assert names == wanted


def test_deploy_limits_concurrent_runs(deployed: Deployed) -> None:
    for name, deployment in deployed.deployments().items():
        assert deployment["global_concurrency_limit"]["limit"] == ENQUEUED.get(name, 1), name
        wanted = "ENQUEUE" if name in ENQUEUED else "CANCEL_NEW"
        assert deployment["concurrency_options"]["collision_strategy"] == wanted, name


def test_deploy_creates_an_automation_for_every_trigger(deployed: Deployed) -> None:
    found = {item["name"]: item for item in post(deployed.api, "/automations/filter", {})}
    assert found.keys() == AUTOMATIONS
    ids = {item["id"]: name for name, item in deployed.deployments().items()}
    for name, automation in found.items():
        assert automation["enabled"], name
        (action,) = automation["actions"]
        assert action["type"] == "run-deployment"
        assert ids[action["deployment_id"]] in ("features", "recover", "retrain", "rollout")


def test_deploy_parameters_have_a_schema(deployed: Deployed) -> None:
    for name, deployment in deployed.deployments().items():
        schema = deployment["parameter_openapi_schema"]
        assert schema["properties"].keys() == PARAMETERS[name], name
        assert set(schema.get("required", [])) == REQUIRED.get(name, set()), f"{name} cannot run on a schedule"
        for parameter, described in schema["properties"].items():
            assert described.get("description"), f"{name}: {parameter} has no description in the Prefect UI"


def test_create_flow_run_invalid_parameter_is_rejected(deployed: Deployed) -> None:
    features = deployed.deployments()["features"]["id"]
    refused = deployed.api.post(f"/deployments/{features}/create_flow_run", json={"parameters": {"as_of": ["soon"]}})
    assert refused.status_code == 409
    assert "soon" in refused.text


def test_worker_scheduled_runs_complete_or_fail_with_reason(deployed: Deployed, main_job: MainJob) -> None:
    """A run that succeeds with parity, and a run that fails with the reason in its state. Neither changes anything."""
    for deployment in deployed.deployments().values():  # else the cron schedules get in the way at 01:00, 02:00, 04:00
        send(deployed.api, "POST", f"/deployments/{deployment['id']}/pause_deployment")
    for automation in post(deployed.api, "/automations/filter", {}):  # a failed run would start another
        send(deployed.api, "PATCH", f"/automations/{automation['id']}", {"enabled": False})
    before = file_states(main_job.data)
    late = deployed.schedule("features", 3, {})
    too_early = deployed.schedule("train", 3, {"as_of": "1990-01-01T00:00:00Z"})
    assert deployed.run(late)["state_type"] in ("SCHEDULED", "PENDING")  # a worker looks some seconds ahead

    failed = deployed.ended(too_early)
    assert failed["state_type"] == "FAILED", failed["state"]["message"]
    assert "Monthly cut-offs with known outcomes: 0." in failed["state"]["message"]
    assert "use a later as_of" in failed["state"]["message"]

    done = deployed.ended(late)
    assert done["state_type"] == "COMPLETED", done["state"]["message"]
    assert done["work_pool_name"] == "holdfast"
    assert done["infrastructure_pid"], "no process of the worker ran it"
    assert datetime.fromisoformat(done["start_time"]) >= datetime.fromisoformat(done["expected_start_time"])
    (parity,) = json.loads(deployed.artifacts(late)["parity"]["data"])
    assert parity["mismatches"] == 0
    assert parity["customers"] == main_job.summary["customers"]
    assert parity["values compared"] == main_job.summary["parity"]["values_compared"]
    assert file_states(main_job.data) == before


def test_main_job_saves_its_artifacts(main_job: MainJob) -> None:
    database = main_job.data / "prefect" / "prefect.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as prefect:
        rows = prefect.execute("SELECT key, type, data, description FROM artifact").fetchall()
        runs = dict(prefect.execute("SELECT f.name, r.state_type FROM flow_run r JOIN flow f ON f.id = r.flow_id"))
    job = {"ingest", "features", "train", "gates", "promote", "package", "lifecycle"}
    assert runs == dict.fromkeys(job, "COMPLETED")
    kinds = {key: kind for key, kind, _, _ in rows}
    assert (
        kinds
        | {
            "ingest-counts": "table",
            "ingest-quarantine": "markdown",
            "feast-apply": "markdown",
            "parity": "table",
            "trials": "table",
            "search": "progress",
            "test-period": "table",
            "test-by-month": "table",
            "test-curves": "image",
            "test-months": "image",
            "registered-model": "markdown",
            "gates": "table",
            "promotion": "markdown",
            "bento": "table",
            "run-summary": "markdown",
        }
        == kinds
    )
    for key, kind, data, description in rows:
        content = json.loads(data) if isinstance(data, str) else data  # progress is a number
        assert content, f"{key} is empty"
        assert description, f"{key} has no description"
        if kind == "image":
            assert content.startswith("data:image/png;base64,iVBOR")
        if kind == "table":
            assert len({tuple(row) for row in json.loads(content)}) == 1, f"the rows of {key} differ in their columns"
