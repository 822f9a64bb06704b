"""Fixtures with small HTTP servers as separate processes."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.serving.processes import BenchmarkProcesses
from holdfast.runtime.processes import HOST, free_port
from tests.support.benchmark_servers import SmallServer, StartServer
from tests.support.main_job import ROOT


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
