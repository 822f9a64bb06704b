"""What else the machine does, and how long to wait until it does less."""

import os
import time
from collections.abc import Sequence

import psutil

from benchmarks.serving.processes import Process

QUIET_CORES = 0.2
_LOOK_SECONDS = 0.25
_LOOKS = 20


class Watch:
    """The CPU use of everything but ``ours`` and this process, from now on."""

    def __init__(self, ours: Sequence[Process] = ()) -> None:
        self._ours = ours
        self._start = time.monotonic()
        self._before = self._use()

    def others_cores(self, also_ours: float = 0.0) -> float:
        """Cores that others kept busy so far. ``also_ours``: CPU seconds of a process that has ended meanwhile."""
        return max(0.0, self._use() - self._before - also_ours) / (time.monotonic() - self._start)

    def _use(self) -> float:
        # Time stolen by the host counts as others'; interrupts, of the network for instance, do not.
        times = psutil.cpu_times()
        whole = times.user + times.nice + times.system + getattr(times, "steal", 0.0)
        return float(whole) - sum(process.cpu_seconds() for process in self._ours) - sum(os.times()[:2])


class Patience:
    """Seconds that a benchmark may lose to a busy machine, all in all."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def spend(self, seconds: float) -> bool:
        """Whether there is as much left; it is gone then."""
        if seconds > self._left:
            return False
        self._left -= seconds
        return True

    def wait(self) -> None:
        """Until nobody else needs much CPU, but not long. Every process of ours is idle meanwhile."""
        for _ in range(_LOOKS):
            watch = Watch()
            time.sleep(_LOOK_SECONDS)
            if watch.others_cores() <= QUIET_CORES or not self.spend(_LOOK_SECONDS):
                return
