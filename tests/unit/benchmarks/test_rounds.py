"""Tests of interleaved rounds with real servers."""

from pathlib import Path

import psutil
import pytest

from benchmarks.serving.idle_wait import WaitBudget
from benchmarks.serving.load import LoadError
from benchmarks.serving.rounds import Subject, measure_all
from holdfast.runtime.polling import poll_until
from tests.support.benchmark_servers import SmallServer, StartServer

pytestmark = pytest.mark.long


class FakeContender:
    """Small server in place of a running contender."""

    def __init__(self, server: SmallServer) -> None:
        self.url, self.process = server.url, server.process


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    file = tmp_path / "bodies.jsonl"
    file.write_text('{"customer_id": "c1"}\n{"customer_id": "c2"}\n')
    return file


def _is_stopped(contender: FakeContender) -> bool:
    return all(process.status() == psutil.STATUS_STOPPED for process in contender.process.tree())


def test_measure_all_measures_each_subject_per_round_while_others_are_paused(
    start_server: StartServer, bodies: Path
) -> None:
    contenders = {
        name: FakeContender(start_server(name, delay)) for name, delay in {"quick": 0.01, "slow": 0.04}.items()
    }
    keys = [("quick", 1), ("quick", 4), ("slow", 1)]
    subjects = [Subject(name, contenders[name], n, "/p", bodies) for name, n in keys]  # type: ignore[arg-type]
    messages: list[str] = []
    idle: list[bool] = []

    def report(message: str) -> None:
        messages.append(message)
        idle.append(poll_until(lambda: all(_is_stopped(item) for item in contenders.values()), 1, 0.05))

    found = measure_all(subjects, [], 2, 1, WaitBudget(0), report)
    assert set(found) == set(keys)
    assert all(len(measurements) == 2 for measurements in found.values())
    assert len(messages) == len(set(messages)) == 6
    assert all(idle)
    assert [text.split(",")[1] for text in messages[:3]] == [" 1 connections"] * 2 + [" 4 connections"]
    assert not any(_is_stopped(item) for item in contenders.values())
    quick, slow = ([item.load.requests_per_second for item in found[name, 1]] for name in ("quick", "slow"))
    assert min(quick) > 1.5 * max(slow)
    cores = [item.cpu_ms / 1000 * item.load.requests_per_second for item in found["quick", 4]]
    assert all(0 < used < 2 for used in cores), "one process uses one core, and some more in the kernel"


def test_measure_all_ended_server_raises_with_its_name(start_server: StartServer, bodies: Path) -> None:
    contender = FakeContender(start_server("mortal"))
    for process in contender.process.tree():
        process.kill()
    with pytest.raises(LoadError, match="mortal"):
        measure_all([Subject("mortal", contender, 1, "/", bodies)], [], 1, 1, WaitBudget(0), lambda _: None)  # type: ignore[arg-type]
