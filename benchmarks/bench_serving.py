"""Serving benchmark: Holdfast compared with a no-op BentoML service, a naive service, Feast's and MLflow's servers.

    python -m benchmarks.bench_serving [--quick] [--memory] [--family boosting] [--only holdfast,noop_tuned]

All servers run on one machine with Redis and one worker each, and are paused while another one is measured. The
numbers are medians over several short rounds. Prints two tables and writes data/bench-serving.json.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.serving.contenders import Contender, holdfast_contender, other_contenders
from benchmarks.serving.fixture import SHADOW_REGISTRY, BenchmarkFixture, make_fixture
from benchmarks.serving.generator_limit import measure_generator_limit
from benchmarks.serving.idle_wait import WaitBudget
from benchmarks.serving.load import generator_name
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.memory import measure_memory
from benchmarks.serving.processes import BenchmarkProcesses
from benchmarks.serving.progress import BenchmarkProgress
from benchmarks.serving.report import Goal, SubjectSummary, summarize_rounds
from benchmarks.serving.response_checks import check_batches
from benchmarks.serving.rounds import Subject, measure_all
from benchmarks.serving.running_contender import RunningContender
from benchmarks.serving.tables import print_result
from benchmarks.serving.targets import (
    BATCH_NAME,
    CONNECTIONS,
    CONNECTIONS_PER_WORKER,
    NO_LOG,
    SHADOW,
    TWO_WORKERS,
    evaluate_goals,
)
from benchmarks.serving.two_versions import PROFILES, TwoVersionsData
from feature_repo.database_urls import sqlite_url
from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError

ALL_CONNECTIONS = (1, CONNECTIONS, CONNECTIONS_PER_WORKER)


@dataclass(frozen=True)
class _Variant:
    """Contender with the numbers of connections to measure, and the data folder that only some contenders need."""

    contender: Contender
    connections: Sequence[int]
    data: TwoVersionsData | None = None


def _list_variants(fixture: BenchmarkFixture) -> list[_Variant]:
    """List all contenders; the goals compare the variants of Holdfast with the default."""
    in_shadow = {"MLFLOW_TRACKING_URI": sqlite_url(fixture.data / SHADOW_REGISTRY / "mlflow.db")}
    without_log = holdfast_contender(fixture, NO_LOG, environment={"HOLDFAST_PREDICTION_LOG": "false"})
    shadow = holdfast_contender(fixture, SHADOW, required_metric='mode="shadow"', environment=in_shadow)
    two_workers = holdfast_contender(fixture, TWO_WORKERS, workers=2)
    return [
        *(_Variant(item, ALL_CONNECTIONS) for item in [holdfast_contender(fixture), *other_contenders(fixture)]),
        _Variant(without_log, [CONNECTIONS]),
        _Variant(shadow, [1, CONNECTIONS]),
        _Variant(two_workers, [CONNECTIONS_PER_WORKER, 2 * CONNECTIONS_PER_WORKER]),
        *(
            _Variant(item, [1, CONNECTIONS], data)
            for data in (TwoVersionsData(fixture, store) for store in PROFILES)
            for item in data.contenders()
        ),
    ]


def main() -> None:
    """Run the benchmark, write the result and print the tables."""
    arguments = _arguments()
    # SIGTERM unwinds the stack as Ctrl-C does, so that the servers end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=None if sys.stdout.isatty() else 100)
    try:
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
            result, table, goals = _run(arguments, Path(name), BenchmarkProgress(console))
    except KeyboardInterrupt:
        sys.exit(130)
    except HoldfastError as error:
        sys.exit(str(error))
    path = Settings.from_environment().data / "bench-serving.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print_result(console, result, table, goals)
    console.print(f"Written: {path}", soft_wrap=True)
    if any(summary.errors for by_connections in table.values() for summary in by_connections.values()):
        sys.exit("Some requests failed: see the column errors.")


def _run(
    arguments: argparse.Namespace, folder: Path, progress: BenchmarkProgress
) -> tuple[dict[str, Any], dict[str, dict[str, SubjectSummary]], list[Goal]]:
    machine = describe_machine()
    with progress, BenchmarkProcesses(folder / "logs") as processes:
        progress.show("build features, model and bento")
        fixture, redis = make_fixture(processes, folder, arguments.customers, arguments.family)
        limit = measure_generator_limit(processes, fixture.environment, fixture.requests("predict"), CONNECTIONS)
        running, subjects = _start(arguments, fixture, processes, progress)
        ready = {item.contender.name: round(item.seconds_to_ready, 2) for item in running}
        progress.start_steps(len(subjects) * arguments.rounds)
        budget = WaitBudget(arguments.patience)
        rounds = measure_all(subjects, [redis.process], arguments.rounds, arguments.seconds, budget, progress.step)
        memory = {}
        if arguments.memory:
            progress.show("start a server for the memory measurement")
            memory = measure_memory(
                RunningContender(holdfast_contender(fixture, "holdfast_memory"), fixture, processes),
                CONNECTIONS,
                progress.show,
            )
    goals = evaluate_goals(
        rounds, [ready[name] for name in ("holdfast", NO_LOG) if name in ready], list(memory.values())
    )
    table = summarize_rounds(rounds)
    result = {
        "machine": machine,
        "generator": {"name": generator_name(), "requests_per_second_at_most": limit},
        "family": arguments.family,
        "customers": arguments.customers,
        "rounds": arguments.rounds,
        "seconds_per_round": arguments.seconds,
        "contenders": _to_json(table),
        "seconds_to_ready": ready,
        "worker_rss_mb_after_requests": {str(step): value for step, value in memory.items()},
        "goals": [goal.as_json() for goal in goals],
    }
    return result, table, goals


def _start(
    arguments: argparse.Namespace,
    fixture: BenchmarkFixture,
    processes: BenchmarkProcesses,
    progress: BenchmarkProgress,
) -> tuple[list[RunningContender], list[Subject]]:
    """Start and check each server alone; returns the servers and the subjects."""
    chosen = _list_variants(fixture)
    if arguments.only:
        names = {item.contender.name for item in chosen}
        if unknown := set(arguments.only) - names:
            raise HoldfastError(f"{', '.join(sorted(unknown))}: not one of {', '.join(sorted(names))}.")
        chosen = [item for item in chosen if item.contender.name in arguments.only]
    for data in {item.data.store: item.data for item in chosen if item.data is not None}.values():
        progress.show(f"build two versions of the definitions, {data.store}")
        data.build(arguments.family)
    running, subjects = [], []
    for item in chosen:
        progress.show(f"start {item.contender.name}")
        server = RunningContender(item.contender, fixture, processes)
        server.check()
        contender, bodies = item.contender, fixture.requests(item.contender.requests)
        subjects += [Subject(contender.name, server, n, contender.path, bodies) for n in item.connections]
        if contender.name == "holdfast":
            server.check_at("/predict_batch", "predict_batch", check_batches, 1)
            bodies = fixture.requests("predict_batch")
            subjects += [Subject(BATCH_NAME, server, n, "/predict_batch", bodies) for n in (1, CONNECTIONS)]
        server.process.pause()
        running.append(server)
    return running, subjects


def _to_json(table: dict[str, dict[str, SubjectSummary]]) -> dict[str, Any]:
    return {name: {n: vars(summary) for n, summary in by_connections.items()} for name, by_connections in table.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two rounds of a second, 2,000 customers")
    parser.add_argument(
        "--memory", action="store_true", help="also measure the worker's memory over 300,000 requests (minutes)"
    )
    parser.add_argument("--family", choices=["logistic", "boosting"], default="logistic", help="family of the model")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), help="comma-separated names of the servers to measure"
    )
    parser.add_argument("--customers", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="duration of one measurement")
    parser.add_argument("--patience", type=float, default=45, help="total seconds to wait for an idle machine")
    arguments = parser.parse_args()
    defaults = {"customers": 2_000, "rounds": 2, "seconds": 1} if arguments.quick else {}
    for name, value in ({"customers": 10_000, "rounds": 4, "seconds": 2} | defaults).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    return arguments


if __name__ == "__main__":
    main()
