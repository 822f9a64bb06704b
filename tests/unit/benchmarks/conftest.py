"""Fixtures with small HTTP servers as separate processes."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.serving.processes import BenchmarkProcess, BenchmarkProcesses
from holdfast.runtime.processes import HOST, free_port
from tests.support.main_job import ROOT


@dataclass(frozen=True)
class SmallServer:
    """Running server of `tests.support.small_server`, and its log of request bodies."""

    url: str
    process: BenchmarkProcess
    log: Path

    @property
    def bodies(self) -> list[str]:
        """Return the received request bodies."""
        return self.log.read_text().splitlines()


StartServer = Callable[..., SmallServer]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[BenchmarkProcesses]:
    with BenchmarkProcesses(tmp_path / "logs") as started:
        yield started


@pytest.fixture
def start_server(processes: BenchmarkProcesses, tmp_path: Path) -> StartServer:
    """A function that starts a server; ``mark`` is an additional argument in its command line."""

    def start(name: str = "small", delay: float = 0.0, fail_every: int = 0, mark: str = "") -> SmallServer:
        port, log = free_port(), tmp_path / f"{name}-bodies"
        options = [str(port), str(log), str(delay), str(fail_every), mark]
        command = [sys.executable, "-m", "tests.support.small_server", *options]
        process = processes.start(name, command, os.environ, ROOT)
        url = f"http://{HOST}:{port}"
        process.seconds_to_ready(f"{url}/readyz")
        return SmallServer(url, process, log)

    return start
