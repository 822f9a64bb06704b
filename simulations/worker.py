"""Subprocess of a simulation, started by :func:`run_job`: `python -m simulations.worker STATE`.

A subprocess, because Prefect, MLflow and Feast read the environment when they are imported; the modules that import
them are therefore imported once the servers run.
"""

import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.components import venv_command
from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import HOST, free_port, log_tail, start_process
from simulations.job_spec import JobSpec
from simulations.limited_disk import move_tables_to_limited_disk, namespace_command
from simulations.workspace import Workspace, create_workspace

if TYPE_CHECKING:
    from simulations.redis_server import RedisServer

_JOB_FILE = "simulation.json"
# Watch the new champion for half a minute instead of a quarter of an hour; the other steps keep their defaults.
_ROLLOUT = {"watch_minutes": 0.5, "poll_seconds": 1}


class SimulationFailedError(HoldfastError):
    """The subprocess of a simulation ended with an error."""


def run_job(state: Path, spec: JobSpec, report: Callable[[str], None]) -> None:
    """Run a job in a subprocess.

    Args:
        state: State folder.
        spec: Job specification.
        report: Called with each line of output.

    Raises:
        SimulationFailedError: The job failed; contains the end of its log.
    """
    state.mkdir(parents=True, exist_ok=True)
    (state / _JOB_FILE).write_text(spec.model_dump_json(indent=2))
    workspace, log = Workspace(state, spec.store), state / "simulation.log"
    environment = workspace.environment(HOLDFAST_DATA=str(workspace.data))
    prefix = namespace_command() if spec.disk_mb else []
    command = [*prefix, *venv_command("python", "-m", "simulations.worker", str(state))]
    process = start_process("simulation", command, environment, log, workspace.source, capture_output=True)
    if status := process.report_output(report):
        raise SimulationFailedError(f"The simulation ended with status {status}. {log_tail(log)}")


def main(state: Path) -> None:
    """Run the job whose specification is in the state folder.

    Args:
        state: State folder.
    """
    spec = JobSpec.model_validate_json((state / _JOB_FILE).read_bytes())
    workspace = create_workspace(state, spec.store)
    workspace.apply_environment()
    if spec.disk_mb:
        move_tables_to_limited_disk(state, spec.disk_mb)
    from simulations.environment import backend_servers

    with backend_servers(workspace) as redis, ExitStack() as stack:
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        # A heartbeat costs a second per subflow.
        stack.enter_context(temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))
        if spec.job == "baseline":
            from simulations.baseline_state import build_baseline

            build_baseline(state, spec.customers)
        else:
            _run_scenario(stack, workspace, spec, redis)


def _run_scenario(stack: ExitStack, workspace: Workspace, spec: JobSpec, redis: "RedisServer | None") -> None:
    from prefect.client.orchestration import SyncPrefectClient

    from feature_repo.settings import Settings
    from holdfast.ingestion.datasets import locate_dataset
    from simulations.assessment import build_result
    from simulations.daily_data import read_transactions
    from simulations.environment import Environment
    from simulations.load_clients import LoadClients
    from simulations.prefect_api import PrefectApi
    from simulations.scenario_result import write_result
    from simulations.scenarios import SCENARIOS
    from simulations.servers import register_deployments, start_service, start_worker
    from simulations.simulated_shop import SimulatedShop

    scenario = SCENARIOS[spec.scenario](spec.days, spec.with_fault, spec.predictions)
    start, started = time.monotonic(), datetime.now(UTC)
    _report("starting the components")
    port = free_port()
    workspace.add_variables({"HOLDFAST_SERVICE_URL": f"http://{HOST}:{port}"})
    if spec.store != "sqlite":
        _fill_store()
    register_deployments(workspace)
    api = PrefectApi(stack.enter_context(SyncPrefectClient(workspace.variables["PREFECT_API_URL"])))
    api.stop_schedules()
    for deployment, parameters in {"rollout": {"rules": _ROLLOUT}, **scenario.deployment_parameters}.items():
        api.set_parameters(deployment, dict(parameters))
    worker = start_worker(workspace)
    shop = SimulatedShop(
        settings=Settings.from_environment(),
        transactions=read_transactions(locate_dataset("cdnow")[0], spec.customers),
        clients=LoadClients(workspace.variables["HOLDFAST_SERVICE_URL"], seed=0),
        api=api,
        landing=workspace.state / "landing",
        mapping=workspace.state / "mapping.yaml",
        report=_report,
        started=started,
    )
    service = start_service(workspace, port, scenario.service_variables)
    environment = Environment(workspace, shop, worker, service, redis)
    stack.callback(environment.terminate)
    _report(f"all components are ready after {time.monotonic() - start:.0f} s")
    scenario.run(environment)
    result = build_result(scenario, environment, spec, time.monotonic() - start)
    assert spec.result is not None
    write_result(result, spec.result)
    _report("passed" if result.passed else "FAILED")


def _fill_store() -> None:
    """Fill the online store from the baseline, whose online store is SQLite."""
    from flows.features import features
    from simulations.baseline_state import KNOWN_AT
    from simulations.daily_data import START

    features(START, KNOWN_AT)


def _report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.getLogger("httpx").setLevel(logging.WARNING)
    main(Path(sys.argv[1]))
