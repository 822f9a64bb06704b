"""Interleaved rounds over real servers."""

from pathlib import Path

import psutil
import pytest

from benchmarks.serving.idle_wait import Patience
from benchmarks.serving.load import LoadError
from benchmarks.serving.rounds import Subject, measure_all
from tests.unit.benchmarks.conftest import StartTiny, Tiny, becomes

pytestmark = pytest.mark.long


class Stand:
    """A tiny server where a running contender is expected."""

    def __init__(self, server: Tiny) -> None:
        self.url, self.process = server.url, server.process


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    file = tmp_path / "bodies.jsonl"
    file.write_text('{"customer_id": "c1"}\n{"customer_id": "c2"}\n')
    return file


def stopped(stand: Stand) -> bool:
    return all(process.status() == psutil.STATUS_STOPPED for process in stand.process.tree())


def test_each_is_measured_in_each_round_while_the_others_are_stopped(tiny: StartTiny, bodies: Path) -> None:
    stands = {name: Stand(tiny(name, delay)) for name, delay in {"quick": 0.01, "slow": 0.04}.items()}
    asked = [("quick", 1), ("quick", 4), ("slow", 1)]
    subjects = [Subject(name, stands[name], n, "/p", bodies) for name, n in asked]  # type: ignore[arg-type]
    told: list[str] = []
    idle: list[bool] = []

    def tell(doing: str) -> None:
        told.append(doing)
        idle.append(becomes(lambda: all(stopped(stand) for stand in stands.values()), within=1))

    found = measure_all(subjects, [], 2, 1, Patience(0), tell)
    assert set(found) == set(asked)
    assert all(len(measurements) == 2 for measurements in found.values())
    assert len(told) == len(set(told)) == 6
    assert all(idle)
    assert [text.split(",")[1] for text in told[:3]] == [" 1 connections"] * 2 + [" 4 connections"]
    assert not any(stopped(stand) for stand in stands.values())
    quick, slow = ([item.load.requests_per_second for item in found[name, 1]] for name in ("quick", "slow"))
    assert min(quick) > 1.5 * max(slow)
    cores = [item.cpu_ms / 1000 * item.load.requests_per_second for item in found["quick", 4]]
    assert all(0 < used < 2 for used in cores), "one process computes on one core, and a little in the kernel"


def test_a_server_that_dies_is_an_error_that_names_it(tiny: StartTiny, bodies: Path) -> None:
    stand = Stand(tiny("mortal"))
    for process in stand.process.tree():
        process.kill()
    with pytest.raises(LoadError, match="mortal"):
        measure_all([Subject("mortal", stand, 1, "/", bodies)], [], 1, 1, Patience(0), lambda _: None)  # type: ignore[arg-type]
