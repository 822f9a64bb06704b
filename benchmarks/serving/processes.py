"""Processes of the serving benchmark."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from holdfast.runtime.processes import ManagedProcess, health_problem, start_process


def cpu_seconds(process: ManagedProcess) -> float:
    """Sum the CPU time of a process and its children.

    Args:
        process: The process.

    Returns:
        User and system time in seconds, of the processes that still exist.
    """
    total = 0.0
    for item in process.tree():
        with suppress(psutil.Error):
            total += sum(item.cpu_times()[:2])
    return total


@dataclass(frozen=True)
class BenchmarkProcess(ManagedProcess):
    """Managed process with the time of its start by the monotonic clock."""

    started: float

    def seconds_to_ready(self, url: str, timeout: float = 90) -> float:
        """Wait until a URL responds with 200.

        Args:
            url: HTTP address.
            timeout: Seconds until the process is given up.

        Returns:
            Seconds from the start of the command, without the start of its guard.

        Raises:
            ProcessNotReadyError: The process ended, or was not ready in time.
        """
        self.wait_until_ready(lambda: health_problem(url), timeout, poll_seconds=0.02)
        seconds = time.monotonic() - self.started
        guard = psutil.Process(self.guard.pid)
        return seconds - min(child.create_time() for child in guard.children()) + guard.create_time()


class BenchmarkProcesses(ExitStack):
    """Processes of one benchmark, which end with the ``with`` block.

    Args:
        logs: Folder of the logs.
    """

    def __init__(self, logs: Path) -> None:
        super().__init__()
        self.logs = logs

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> BenchmarkProcess:
        """Start a command.

        Args:
            name: Name of the process and of its log.
            command: Program and arguments.
            environment: All environment variables.
            folder: Working directory.

        Returns:
            The process.
        """
        started = time.monotonic()
        process = start_process(name, command, environment, self.logs / f"{name}.log", folder)
        self.callback(process.terminate)
        return BenchmarkProcess(process.name, process.guard, process.log, started)
