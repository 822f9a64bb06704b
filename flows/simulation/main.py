"""The process of a simulation: `python -m flows.simulation.main STATE`. `simulations.__main__` starts it."""

import logging
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from flows.simulation.disk import put_on_small_disk
from flows.simulation.observing import prefect_api
from flows.simulation.outcome import Outcome, write_outcome
from flows.simulation.parts import deploy, start_service, start_worker
from flows.simulation.place import Place, place
from flows.simulation.redis_server import Redis
from flows.simulation.running import Running, servers
from flows.simulation.told import Told, read_told
from holdfast.runtime.processes import HOST, free_port

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
                from flows.simulation.world import make_world

                make_world(state, told.customers)
            else:
                with ExitStack() as stack:
                    _play(stack, where, told, redis)


def _play(stack: ExitStack, where: Place, told: Told, redis: Redis | None) -> None:
    import os

    from feature_repo.settings import load_settings
    from flows.simulation.callers import Callers
    from flows.simulation.days import read_days
    from flows.simulation.judging import outcome_of
    from flows.simulation.scenarios import SCENARIOS
    from flows.simulation.shop import Shop
    from holdfast.ingestion.datasets import locate

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
        days=read_days(locate("cdnow")[0], told.customers),
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
    from flows.simulation.days import START
    from flows.simulation.world import KNOWN_AT

    features(START, KNOWN_AT)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.getLogger("httpx").setLevel(logging.WARNING)
    main(Path(sys.argv[1]))
