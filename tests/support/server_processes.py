"""Servers as processes of a test: started on a free port, asked over HTTP, and ended with all their children."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from tests.support.main_job import ROOT

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class ServerProcess:
    """A process that leads a group of its own, and the file it prints to."""

    process: subprocess.Popen[bytes]
    log: Path

    def members(self) -> list[str]:
        """The commands of the processes of its group that still run."""
        listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
        rows = [line.split(maxsplit=2) for line in listed.splitlines()]
        return [row[2] for row in rows if row[0] == str(self.process.pid) and not row[1].startswith("Z")]

    def end(self, number: signal.Signals, within: float = 60) -> int:
        """Signal the whole group, as a terminal does, and wait until none of it is left; the exit status."""
        os.killpg(self.process.pid, number)
        status = self.process.wait(timeout=within)
        wait_for(lambda: not self.members(), within, lambda: f"still running: {self.members()}")
        return status

    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")


@contextmanager
def running_server(
    command: list[str], environment: Mapping[str, str], log: Path, cwd: Path = ROOT
) -> Iterator[ServerProcess]:
    """Start ``command`` in a process group of its own; whatever is left of the group is killed with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield ServerProcess(process, log)
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(timeout=5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        process.wait()


def wait_for_response(server: ServerProcess, url: str, within: float = 60) -> httpx.Response:
    """The first answer 200 of ``url``."""

    def answer() -> httpx.Response | None:
        assert server.process.poll() is None, f"it ended before {url} answered:\n{server.output()[-3000:]}"
        try:
            found = httpx.get(url, timeout=5, follow_redirects=True)
        except httpx.TransportError:
            return None
        return found if found.status_code == 200 else None

    return wait_for(answer, within, lambda: f"no answer 200 from {url}:\n{server.output()[-3000:]}")


def wait_for(found: Callable[[], _Found | None], within: float, otherwise: Callable[[], str]) -> _Found:
    """What ``found`` returns as soon as that is truthy; fails with the text of ``otherwise`` after ``within`` s."""
    deadline = time.monotonic() + within
    while not (value := found()):
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.2)
    return value


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_port_free(port: int) -> bool:
    """Whether a server could listen on ``port``."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
