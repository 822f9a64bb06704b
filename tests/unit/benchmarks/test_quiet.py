"""Other work on the machine is seen, and waited for within limits."""

import subprocess
import sys
import time

import pytest

from benchmarks.serving.idle_wait import Patience, Watch
from benchmarks.serving.processes import Processes

BUSY = [sys.executable, "-c", "while True: pass"]


def test_a_busy_process_of_others_is_seen_and_one_of_ours_is_not(processes: Processes) -> None:
    ours = processes.start("ours", BUSY, {}, processes.logs)
    with subprocess.Popen(BUSY) as other:
        try:
            time.sleep(0.3)
            everything, without_ours = Watch(), Watch([ours])
            before = time.monotonic()
            while time.monotonic() < before + 1:  # this process is not another either
                pass
            both, one = everything.others_cores(), without_ours.others_cores()
        finally:
            other.kill()
    assert both > one + 0.1
    assert one > 0.1


def test_cpu_time_of_a_process_that_ended_can_be_taken_out() -> None:
    watch = Watch()
    time.sleep(0.1)
    assert watch.others_cores(also_ours=1000) == 0


def test_patience_is_spent_once() -> None:
    patience = Patience(3)
    assert [patience.spend(2), patience.spend(2), patience.spend(1), patience.spend(0.1)] == [True, False, True, False]


def test_without_patience_a_busy_machine_is_not_waited_for(processes: Processes) -> None:
    for name in ("one", "two"):
        processes.start(name, BUSY, {}, processes.logs)
    start = time.monotonic()
    Patience(0).wait()
    assert time.monotonic() - start < 2
    start = time.monotonic()
    Patience(1).wait()
    assert 1 <= time.monotonic() - start < 4


@pytest.fixture(autouse=True)
def _two_cores() -> None:
    import os

    if (os.cpu_count() or 1) < 2:
        pytest.skip("on one core nobody can tell who is kept waiting")
