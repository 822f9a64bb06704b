"""Several short rounds over all that is measured, in another order each, so that a noisy machine is noisy for all."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import python_load
from benchmarks.serving.idle_wait import QUIET_CORES, Patience, Watch
from benchmarks.serving.load import Load, LoadError, send_load
from benchmarks.serving.processes import Process
from benchmarks.serving.running_contender import Running

_WARM_SECONDS = 0.3
_SETTLE_SECONDS = 3.0
_PER_ROUND = 1009  # each round begins with other customers


@dataclass(frozen=True)
class Subject:
    """One line of the result: a running contender, asked at one address over a number of connections."""

    name: str
    running: Running
    connections: int
    path: str
    bodies: Path


@dataclass(frozen=True)
class Measurement:
    """One round of one subject.

    ``others_cores``: how many cores work outside the benchmark kept busy meanwhile. ``cpu_ms``: what the server, not
    its Redis, computed for each request; a busy machine changes that least.
    """

    load: Load
    others_cores: float
    cpu_ms: float


Rounds = dict[tuple[str, int], list[Measurement]]


def subject(running: Running, connections: int, name: str = "", path: str = "", questions: str = "") -> Subject:
    """``running`` on its own address, unless told otherwise."""
    contender = running.contender
    return Subject(
        name or contender.name,
        running,
        connections,
        path or contender.path,
        running.scene.questions(questions or contender.questions),
    )


def measure_all(
    subjects: Sequence[Subject],
    backing: Sequence[Process],
    rounds: int,
    seconds: int,
    patience: Patience,
    tell: Callable[[str], None],
) -> Rounds:
    """Every subject once per round, alone: all other servers are stopped meanwhile.

    Those of one number of connections follow each other, because they are compared. ``backing`` are the processes
    that all of them need. What other work on the machine disturbed is measured again, while there is ``patience``.

    Raises:
        LoadError: A server did not answer; holds the end of its log.
    """
    servers = {id(item.running): item.running for item in subjects}.values()
    for server in servers:
        server.process.pause()
    found: Rounds = {(item.name, item.connections): [] for item in subjects}
    order = random.Random(0)
    try:
        for number in range(rounds):
            shuffled = sorted(order.sample(list(subjects), len(subjects)), key=lambda item: item.connections)
            for item in shuffled:
                tell(f"round {number + 1} of {rounds}: {item.name}, {item.connections} connections")
                measurement = _least_disturbed(item, backing, seconds, number * _PER_ROUND, patience)
                found[item.name, item.connections].append(measurement)
    finally:
        for server in servers:
            server.process.resume()
    return found


def _least_disturbed(
    item: Subject, backing: Sequence[Process], seconds: int, first: int, patience: Patience
) -> Measurement:
    """Of up to three attempts, the one during which others did least: chosen by that, never by its outcome."""
    patience.wait()
    best = _measure(item, backing, seconds, first)
    for _ in range(2):
        if best.others_cores <= QUIET_CORES or not patience.spend(seconds):
            break
        patience.wait()
        best = min(best, _measure(item, backing, seconds, first), key=lambda found: found.others_cores)
    return best


def _measure(item: Subject, backing: Sequence[Process], seconds: int, first: int) -> Measurement:
    url, process = f"{item.running.url}{item.path}", item.running.process
    process.resume()
    try:
        python_load.run(url, item.bodies, item.connections, _WARM_SECONDS, first)
        watch, used = Watch([process, *backing]), process.cpu_seconds()
        load = send_load(url, item.bodies, item.connections, seconds, first)
        used = process.cpu_seconds() - used
        return Measurement(load, watch.others_cores(load.cpu_seconds), used / load.requests * 1000)
    except (LoadError, OSError) as error:
        raise LoadError(f"{item.name}: {error}\n{process.last_lines()}") from error
    finally:
        _settle(process)
        process.pause()


def _settle(process: Process) -> None:
    """Let it finish what the generator has left under way; a request that is stopped would time out afterwards."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    used = process.cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(0.05)
        before, used = used, process.cpu_seconds()
        if used - before <= 0.01:
            return
