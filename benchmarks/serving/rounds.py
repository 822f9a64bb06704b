"""Interleaved measurement: short rounds over all subjects in random order, so that noise affects all of them."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import python_load
from benchmarks.serving.idle_wait import QUIET_CORES, CpuMonitor, WaitBudget
from benchmarks.serving.load import LoadError, LoadResult, send_load
from benchmarks.serving.processes import cpu_seconds
from benchmarks.serving.running_contender import RunningContender
from holdfast.runtime.processes import ManagedProcess, log_tail

_WARM_SECONDS = 0.3
_SETTLE_SECONDS = 3.0
_BODIES_PER_ROUND = 1009  # each round starts with other customers


@dataclass(frozen=True)
class Subject:
    """Running contender with a path and a number of connections: one row of the result."""

    name: str
    running: RunningContender
    connections: int
    path: str
    bodies: Path


@dataclass(frozen=True)
class Measurement:
    """Measurement of one subject in one round.

    Attributes:
        others_cores: Cores that other processes used meanwhile.
        cpu_ms: CPU time of the server, without Redis, per request; a busy machine changes this value least.
    """

    load: LoadResult
    others_cores: float
    cpu_ms: float


Rounds = dict[tuple[str, int], list[Measurement]]


def measure_all(
    subjects: Sequence[Subject],
    backing: Sequence[ManagedProcess],
    rounds: int,
    seconds: int,
    budget: WaitBudget,
    report: Callable[[str], None],
) -> Rounds:
    """Measure each subject once per round while all other servers are paused.

    Subjects with the same number of connections follow each other, because they are compared. A measurement that other
    processes disturbed is repeated as long as the budget lasts.

    Args:
        subjects: Subjects.
        backing: Processes that all servers need.
        rounds: Number of rounds.
        seconds: Duration of one measurement.
        budget: Budget for waits and repetitions.
        report: Called with the progress.

    Returns:
        Name and connections of a subject to its measurements.

    Raises:
        LoadError: A server did not respond; contains the end of its log.
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
                report(f"round {number + 1} of {rounds}: {item.name}, {item.connections} connections")
                measurement = _least_disturbed(item, backing, seconds, number * _BODIES_PER_ROUND, budget)
                found[item.name, item.connections].append(measurement)
    finally:
        for server in servers:
            server.process.resume()
    return found


def _least_disturbed(
    item: Subject, backing: Sequence[ManagedProcess], seconds: int, first: int, budget: WaitBudget
) -> Measurement:
    """Return that of up to three attempts with the least other CPU use; the choice ignores the result."""
    budget.wait()
    best = _measure(item, backing, seconds, first)
    for _ in range(2):
        if best.others_cores <= QUIET_CORES or not budget.spend(seconds):
            break
        budget.wait()
        best = min(best, _measure(item, backing, seconds, first), key=lambda found: found.others_cores)
    return best


def _measure(item: Subject, backing: Sequence[ManagedProcess], seconds: int, first: int) -> Measurement:
    url, process = f"{item.running.url}{item.path}", item.running.process
    process.resume()
    try:
        python_load.run(url, item.bodies, item.connections, _WARM_SECONDS, first)
        monitor, used = CpuMonitor([process, *backing]), cpu_seconds(process)
        load = send_load(url, item.bodies, item.connections, seconds, first)
        used = cpu_seconds(process) - used
        return Measurement(load, monitor.busy_cores(load.cpu_seconds), used / load.requests * 1000)
    except (LoadError, OSError) as error:
        raise LoadError(f"{item.name}: {error}\n{log_tail(process.log)}") from error
    finally:
        _settle(process)
        process.pause()


def _settle(process: ManagedProcess) -> None:
    """Wait until the server has finished pending requests, which would time out if the server were paused."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    used = cpu_seconds(process)
    while time.monotonic() < deadline:
        time.sleep(0.05)
        before, used = used, cpu_seconds(process)
        if used - before <= 0.01:
            return
