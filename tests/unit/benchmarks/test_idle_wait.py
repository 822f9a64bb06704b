"""Tests of the CPU use of other processes, and of the waits for an idle machine."""

import subprocess
import sys
import time

import psutil
import pytest

from benchmarks.serving.idle_wait import CpuMonitor, WaitBudget
from benchmarks.serving.processes import BenchmarkProcesses, cpu_seconds

BUSY = [sys.executable, "-c", "while True: pass"]


def test_cpu_monitor_counts_other_processes_only(processes: BenchmarkProcesses) -> None:
    own = processes.start("own", BUSY, {}, processes.logs)
    with subprocess.Popen(BUSY) as other:
        try:
            everything, without_own = CpuMonitor(), CpuMonitor([own])
            before, used = time.monotonic(), cpu_seconds(own)
            of_other = psutil.Process(other.pid)
            # A busy machine gives them little time: CPU seconds are awaited. Those of this process do not count.
            while cpu_seconds(own) < used + 0.3 or of_other.cpu_times().user < 0.3:
                pass
            both, other_only = everything.busy_cores(), without_own.busy_cores()
            seconds = time.monotonic() - before
        finally:
            other.kill()
    assert (both - other_only) * seconds > 0.25
    assert other_only * seconds > 0.2


def test_cpu_monitor_ended_seconds_are_subtracted() -> None:
    monitor = CpuMonitor()
    time.sleep(0.1)
    assert monitor.busy_cores(ended_seconds=1000) == 0


def test_wait_budget_is_spent_once() -> None:
    budget = WaitBudget(3)
    assert [budget.spend(2), budget.spend(2), budget.spend(1), budget.spend(0.1)] == [True, False, True, False]


def test_wait_budget_limits_the_wait_for_a_busy_machine(processes: BenchmarkProcesses) -> None:
    for name in ("one", "two"):
        processes.start(name, BUSY, {}, processes.logs)
    start = time.monotonic()
    WaitBudget(0).wait()
    assert time.monotonic() - start < 2
    start = time.monotonic()
    WaitBudget(1).wait()
    assert 1 <= time.monotonic() - start < 4


@pytest.fixture(autouse=True)
def _two_cores() -> None:
    import os

    if (os.cpu_count() or 1) < 2:
        pytest.skip("two busy processes need two cores")
