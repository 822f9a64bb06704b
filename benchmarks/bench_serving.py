"""How fast Holdfast serves, beside what BentoML can do at all, a naive service, and the two tools' own servers.

    python -m benchmarks.bench_serving [--quick] [--memory] [--family boosting] [--only holdfast,noop_tuned]

One run on one machine: Redis, one worker each, every server alone while it is measured. Several short rounds over
all of them; each number is that of the median round. Prints two tables and writes data/bench-serving.json.
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

from benchmarks.serving.contenders import Contender, holdfast, others
from benchmarks.serving.fixture import SHADOW_REGISTRY, Scene, make_scene
from benchmarks.serving.generator_limit import ceiling
from benchmarks.serving.idle_wait import Patience
from benchmarks.serving.load import generator_name
from benchmarks.serving.machine import machine
from benchmarks.serving.memory import measure_memory
from benchmarks.serving.processes import Processes
from benchmarks.serving.progress import Progress
from benchmarks.serving.report import Goal, Line, lines
from benchmarks.serving.response_checks import same_batches
from benchmarks.serving.rounds import Subject, measure_all, subject
from benchmarks.serving.running_contender import Running
from benchmarks.serving.tables import show
from benchmarks.serving.targets import BATCH_NAME, EACH, MANY, NO_LOG, SHADOW, TWO_WORKERS, goals
from feature_repo.settings import load_settings
from holdfast.core.errors import HoldfastError

CONNECTIONS = (1, MANY, EACH)


@dataclass(frozen=True)
class Variant:
    """Holdfast set otherwise, measured at some numbers of connections only."""

    contender: Contender
    connections: Sequence[int]


def variants(scene: Scene) -> list[Variant]:
    """What is compared with Holdfast as it is; goals.py says how."""
    in_shadow = {"MLFLOW_TRACKING_URI": f"sqlite:///{scene.data / SHADOW_REGISTRY / 'mlflow.db'}"}
    return [
        Variant(holdfast(scene, NO_LOG, environment={"HOLDFAST_PREDICTION_LOG": "false"}), [MANY]),
        Variant(holdfast(scene, SHADOW, says='mode="shadow"', environment=in_shadow), [1, MANY]),
        Variant(holdfast(scene, TWO_WORKERS, workers=2), [EACH, 2 * EACH]),
    ]


def main() -> None:
    arguments = _arguments()
    # So that Ctrl-C and a plain kill both unwind to what ends the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=None if sys.stdout.isatty() else 100)
    try:
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
            result, table, told = _run(arguments, Path(name), Progress(console))
    except KeyboardInterrupt:
        sys.exit(130)
    except HoldfastError as error:
        sys.exit(str(error))
    place = load_settings().data / "bench-serving.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(result, indent=2) + "\n")
    show(console, result, table, told)
    console.print(f"Written: {place}", soft_wrap=True)
    if any(line.errors for by_connections in table.values() for line in by_connections.values()):
        sys.exit("Some requests were not answered with 200: see errors.")


def _run(
    arguments: argparse.Namespace, folder: Path, progress: Progress
) -> tuple[dict[str, Any], dict[str, dict[str, Line]], list[Goal]]:
    before = machine()
    with progress, Processes(folder / "logs") as processes:
        progress.say("features, model and bento of the benchmark")
        scene, redis = make_scene(processes, folder, arguments.customers, arguments.family)
        limit = ceiling(processes, scene.environment, scene.questions("predict"), MANY)
        running, subjects = _start(arguments, scene, processes, progress)
        ready = {item.contender.name: round(item.seconds_to_ready, 2) for item in running}
        progress.expect(len(subjects) * arguments.rounds)
        found = measure_all(
            subjects, [redis], arguments.rounds, arguments.seconds, Patience(arguments.patience), progress.step
        )
        memory = {}
        if arguments.memory:
            progress.say("start of another, to look at its memory")
            memory = measure_memory(Running(holdfast(scene, "holdfast_memory"), scene, processes), MANY, progress.say)
    told = goals(found, [ready[name] for name in ("holdfast", NO_LOG) if name in ready], list(memory.values()))
    table = lines(found)
    result = {
        "machine": before,
        "generator": {"name": generator_name(), "requests_per_second_at_most": limit},
        "family": arguments.family,
        "customers": arguments.customers,
        "rounds": arguments.rounds,
        "seconds_per_round": arguments.seconds,
        "contenders": _plain(table),
        "seconds_to_ready": ready,
        "worker_rss_mb_after_requests": {str(step): value for step, value in memory.items()},
        "goals": [goal.as_json() for goal in told],
    }
    return result, table, told


def _start(
    arguments: argparse.Namespace, scene: Scene, processes: Processes, progress: Progress
) -> tuple[list[Running], list[Subject]]:
    """Every server, started alone and asked for its first answers, and what is measured of it."""
    chosen = [Variant(item, CONNECTIONS) for item in [holdfast(scene), *others(scene)]] + variants(scene)
    if arguments.only:
        names = {item.contender.name for item in chosen}
        if unknown := set(arguments.only) - names:
            raise HoldfastError(f"{', '.join(sorted(unknown))}: not one of {', '.join(sorted(names))}.")
        chosen = [item for item in chosen if item.contender.name in arguments.only]
    running, subjects = [], []
    for item in chosen:
        progress.say(f"start of {item.contender.name}")
        server = Running(item.contender, scene, processes)
        server.check()
        subjects += [subject(server, connections) for connections in item.connections]
        if item.contender.name == "holdfast":
            server.check_at("/predict_batch", "predict_batch", same_batches, 1)
            subjects += [subject(server, n, BATCH_NAME, "/predict_batch", "predict_batch") for n in (1, MANY)]
        server.process.pause()
        running.append(server)
    return running, subjects


def _plain(table: dict[str, dict[str, Line]]) -> dict[str, Any]:
    return {name: {n: vars(line) for n, line in by_connections.items()} for name, by_connections in table.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two rounds of a second, 2,000 customers")
    parser.add_argument("--memory", action="store_true", help="also the worker's memory over 300,000 requests: minutes")
    parser.add_argument("--family", choices=["logistic", "boosting"], default="logistic", help="the model's family")
    parser.add_argument("--only", type=lambda text: text.split(","), help="names of servers, to measure only those")
    parser.add_argument("--customers", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of one measurement")
    parser.add_argument("--patience", type=float, default=45, help="seconds to lose, all in all, to other work")
    arguments = parser.parse_args()
    defaults = {"customers": 2_000, "rounds": 2, "seconds": 1} if arguments.quick else {}
    for name, value in ({"customers": 10_000, "rounds": 4, "seconds": 2} | defaults).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    return arguments


if __name__ == "__main__":
    main()
