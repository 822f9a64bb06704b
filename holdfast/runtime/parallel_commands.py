"""Parallel execution of commands, of which the first failure ends the others."""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import ManagedProcess, log_tail, start_process

_ROOT = Path(__file__).resolve().parents[2]
# Variables that are not inherited: a backtest must reach no server, store or registry of the user.
_TOOLS = ("PREFECT_", "MLFLOW_", "FEAST_", "BENTOML_")


class CommandError(HoldfastError):
    """A command ended with an error."""


@dataclass(frozen=True)
class Command:
    """Python module to run.

    Attributes:
        module: Name for ``python -m``.
        state: Data folder of the command (``HOLDFAST_DATA``).
        log: File for standard error.
    """

    module: str
    state: Path
    log: Path


def run_parallel(commands: Mapping[str, Command], max_parallel: int, report: Callable[[str, str], None]) -> None:
    """Run commands, each with its process tree, and leave no process behind.

    Args:
        commands: Commands by name, started in this order.
        max_parallel: Number of commands that run at the same time.
        report: Called with the name of a command and a line of its standard output.

    Raises:
        CommandError: A command failed; the others have been killed.
    """
    runner = _Runner(report)
    with ThreadPoolExecutor(max_parallel) as pool:
        try:
            futures = [pool.submit(runner.run, name, command) for name, command in commands.items()]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            runner.stop()  # else the pool waits for the commands, for instance after Ctrl-C


class _Runner:
    def __init__(self, report: Callable[[str, str], None]) -> None:
        self._report = report
        self._lock, self._stopped = threading.Lock(), False
        self._running: dict[str, ManagedProcess] = {}

    def run(self, name: str, command: Command) -> None:
        with self._lock:
            if self._stopped:
                return
            process = self._running[name] = _start(name, command)
        status = process.report_output(lambda line: self._report(name, line))
        with self._lock:
            del self._running[name]
        if status and not self._stopped:
            raise CommandError(f"{name} ended with status {status}. {log_tail(command.log)}")

    def stop(self) -> None:
        """Kill running commands and start no others."""
        with self._lock:
            self._stopped = True
            for process in self._running.values():
                process.kill()


def _start(name: str, command: Command) -> ManagedProcess:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_TOOLS)}
    environment |= {"HOLDFAST_DATA": str(command.state), "HOLDFAST_DATABASE": "", "HOLDFAST_PROJECT": str(_ROOT)}
    return start_process(name, [sys.executable, "-m", command.module], environment, command.log, _ROOT, True)
