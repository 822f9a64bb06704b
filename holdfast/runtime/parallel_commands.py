"""Runs commands side by side, each in a process group of its own that ends when this process does, however it ends."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import end_group

_ROOT = Path(__file__).resolve().parents[2]
# Of whoever started the backtest: a walk through the past must reach none of their servers, stores and registries.
_TOOLS = ("PREFECT_", "MLFLOW_", "FEAST_", "BENTOML_")
_END_OF_LOG = 15


class WalkError(HoldfastError):
    """The process of a policy failed."""


@dataclass(frozen=True)
class Command:
    """A Python module to run with its data in ``state``; what it logs goes to the file ``log``."""

    module: str
    state: Path
    log: Path


class SideBySide:
    """Processes of which some run at once; leaving the ``with`` block ends those that still run."""

    def __init__(self, at_once: int, report: Callable[[str, str], None]) -> None:
        self._at_once, self._report = at_once, report
        self._lock, self._stopped = threading.Lock(), False
        self._running: set[subprocess.Popen[str]] = set()

    def __enter__(self) -> "SideBySide":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def run(self, commands: Mapping[str, Command]) -> None:
        """Run all; each line that one prints is reported with its name. The first failure ends the rest.

        Raises:
            WalkError: One failed.
        """
        with ThreadPoolExecutor(self._at_once) as pool:
            try:
                futures = [pool.submit(self._one, name, command) for name, command in commands.items()]
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                if failed := [error for future in done if (error := future.exception())]:
                    raise failed[0]
            finally:
                self.stop()  # else the pool waits for them, for instance after Ctrl-C

    def stop(self) -> None:
        """End what runs, and start nothing more."""
        with self._lock:
            self._stopped = True
            for child in self._running:
                end_group(child)

    def _one(self, name: str, command: Command) -> None:
        with self._lock:
            if self._stopped:
                return
            child = _start(command)
            self._running.add(child)
        listener = threading.Thread(target=self._listen, args=(name, child), daemon=True)
        listener.start()
        try:
            code = child.wait()
        finally:
            end_group(child)  # its Prefect server, if it was killed itself: that would keep the pipe open
            listener.join()
            with self._lock:
                self._running.discard(child)
        if code and not self._stopped:
            said = "\n".join(command.log.read_text(errors="replace").strip().splitlines()[-_END_OF_LOG:])
            raise WalkError(f"Policy {name} ended with code {code}. The end of {command.log}:\n{said}")

    def _listen(self, name: str, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        with child.stdout:
            for line in child.stdout:
                self._report(name, line.rstrip("\n"))


def _start(command: Command) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_TOOLS)}
    with command.log.open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", command.module],
            cwd=_ROOT,
            env=environment | {"HOLDFAST_DATA": str(command.state), "HOLDFAST_PROJECT": str(_ROOT)},
            stdin=subprocess.PIPE,  # never written to: its end tells the child that this process is gone
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
