"""CPU use of other processes, and waits until the machine is idle."""

import os
import time
from collections.abc import Sequence

import psutil

from benchmarks.serving.processes import cpu_seconds
from holdfast.runtime.processes import ManagedProcess

QUIET_CORES = 0.2
_INTERVAL_SECONDS = 0.25
_MAX_INTERVALS = 20


class CpuMonitor:
    """CPU use of other processes since the construction.

    Args:
        own: Processes that are ignored, as is this process.
    """

    def __init__(self, own: Sequence[ManagedProcess] = ()) -> None:
        self._own = own
        self._start = time.monotonic()
        self._before = self._use()

    def busy_cores(self, ended_seconds: float = 0.0) -> float:
        """Compute the number of cores that other processes used.

        Args:
            ended_seconds: CPU seconds of an own process that has ended meanwhile.

        Returns:
            Mean number of busy cores.
        """
        return max(0.0, self._use() - self._before - ended_seconds) / (time.monotonic() - self._start)

    def _use(self) -> float:
        # Time stolen by the host counts as other use; interrupts, of the network for instance, do not.
        times = psutil.cpu_times()
        whole = times.user + times.nice + times.system + getattr(times, "steal", 0.0)
        return float(whole) - sum(cpu_seconds(process) for process in self._own) - sum(os.times()[:2])


class WaitBudget:
    """Seconds that a benchmark may wait in total because of a busy machine."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def spend(self, seconds: float) -> bool:
        """Spend seconds of the budget.

        Args:
            seconds: Seconds to spend.

        Returns:
            False if fewer seconds are left; nothing is spent then.
        """
        if seconds > self._left:
            return False
        self._left -= seconds
        return True

    def wait(self) -> None:
        """Wait up to five seconds until other processes use little CPU. All own processes must be idle."""
        for _ in range(_MAX_INTERVALS):
            monitor = CpuMonitor()
            time.sleep(_INTERVAL_SECONDS)
            if monitor.busy_cores() <= QUIET_CORES or not self.spend(_INTERVAL_SECONDS):
                return
