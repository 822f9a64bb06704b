"""Tiny servers in processes of their own."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.serving.processes import HOST, Process, Processes, free_port
from tests.support.main_job import ROOT


@dataclass(frozen=True)
class Tiny:
    """A tiny server, and the bodies it was sent."""

    url: str
    process: Process
    log: Path

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


StartTiny = Callable[..., Tiny]


def becomes(condition: Callable[[], bool], within: float = 15) -> bool:
    """Whether the condition holds in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "logs") as started:
        yield started


@pytest.fixture
def tiny(processes: Processes, tmp_path: Path) -> StartTiny:
    """Starts one: ``tiny(delay=0.02, fail_every=10)``; ``mark`` is a word more in its command line."""

    def start(name: str = "tiny", delay: float = 0.0, fail_every: int = 0, mark: str = "") -> Tiny:
        port, log = free_port(), tmp_path / f"{name}-asked"
        options = [str(port), str(log), str(delay), str(fail_every), mark]
        command = [sys.executable, "-m", "tests.support.tiny_server", *options]
        process = processes.start(name, command, os.environ, ROOT)
        url = f"http://{HOST}:{port}"
        process.wait_until(f"{url}/readyz")
        return Tiny(url, process, log)

    return start
