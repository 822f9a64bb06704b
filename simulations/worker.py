"""The process of a simulation: `python -m simulations.worker STATE`. `simulations` starts it."""

import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import HOST, free_port, log_tail, start_process
from simulations.environment import Running, servers
from simulations.job_spec import LOG, Told, read_told, tell
from simulations.limited_disk import namespace, put_on_small_disk
from simulations.outcome import Outcome, write_outcome
from simulations.prefect_api import prefect_api
from simulations.redis_server import Redis
from simulations.servers import deploy, start_service, start_worker
from simulations.workspace import Place, place, tool

# A step takes as many requests as by default; the new champion is watched for less than a quarter of an hour.
ROLLOUT = {"watch_minutes": 0.5, "poll_seconds": 1}


def main(state: Path) -> None:
    """Do what the file in ``state`` says; one line of what happens at a time."""
    told = read_told(state)
    where = place(state, told.store)
    where.tell_this_process()
    if told.disk_mb:
        put_on_small_disk(state, told.disk_mb)
    with servers(where) as redis:
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):  # it costs a second per subflow
            if told.work == "world":
                from simulations.baseline_state import make_world

                make_world(state, told.customers)
            else:
                with ExitStack() as stack:
                    _play(stack, where, told, redis)


def _play(stack: ExitStack, where: Place, told: Told, redis: Redis | None) -> None:
    import os

    from feature_repo.settings import load_settings
    from holdfast.ingestion.datasets import locate_dataset
    from simulations.assessment import outcome_of
    from simulations.daily_data import read_days
    from simulations.load_clients import Callers
    from simulations.scenarios import SCENARIOS
    from simulations.simulated_shop import Shop

    scenario = SCENARIOS[told.scenario](told.days, told.fault)
    began, started = time.monotonic(), datetime.now(UTC)
    _say("starting the parts")
    port = free_port()
    where.variables["HOLDFAST_SERVICE_URL"] = f"http://{HOST}:{port}"
    where.tell_this_process()
    if told.store != "sqlite":
        _fill_store()
    deploy(where)
    api = stack.enter_context(prefect_api(os.environ["PREFECT_API_URL"]))
    api.stop_schedules()
    for deployment, parameters in {"rollout": {"rules": ROLLOUT}, **scenario.deployed}.items():
        api.set_parameters(deployment, dict(parameters))
    worker = start_worker(where)
    shop = Shop(
        settings=load_settings(),
        days=read_days(locate_dataset("cdnow")[0], told.customers),
        callers=Callers(where.variables["HOLDFAST_SERVICE_URL"], seed=0),
        api=api,
        landing=where.state / "landing",
        mapping=where.state / "mapping.yaml",
        say=_say,
        began=started,
    )
    served = start_service(where, port, scenario.service)
    run = Running(where, shop, port, worker, served, redis, scenario.service)
    stack.callback(run.end)
    _say(f"everything is up after {time.monotonic() - began:.0f} s")
    scenario.play(run)
    outcome: Outcome = outcome_of(scenario, run, told, time.monotonic() - began)
    assert told.outcome is not None
    write_outcome(outcome, told.outcome)
    _say("passed" if outcome.passed else "FAILED")


def _fill_store() -> None:
    """The world's online store is SQLite: another one is filled as it was."""
    from flows.features import features
    from simulations.baseline_state import KNOWN_AT
    from simulations.daily_data import START

    features(START, KNOWN_AT)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class SimulationFailedError(HoldfastError):
    """The process of a simulation ended without an outcome."""


def run_process(state: Path, told: Told, say: Callable[[str], None]) -> None:
    """Do in ``state`` what is told; each line that is printed is said.

    Raises:
        SimulationFailedError: It failed; holds the end of its log.
    """
    tell(state, told)
    where, log = Place(state, told.store), state / LOG
    command = [*(namespace() if told.disk_mb else []), *tool("python", "-m", "simulations.worker", str(state))]
    environment = where.environment(HOLDFAST_DATA=str(where.data))
    process = start_process("simulation", command, environment, log, where.source, capture_output=True)
    if status := process.report_output(say):
        raise SimulationFailedError(f"The simulation ended with status {status}. {log_tail(log)}")


if __name__ == "__main__":
    logging.getLogger("httpx").setLevel(logging.WARNING)
    main(Path(sys.argv[1]))
