"""Server processes of tests, which receive signals as from a terminal."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from holdfast.runtime.processes import terminate_processes
from tests.support.main_job import ROOT
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class ServerProcess:
    """Leader of a process group, and the file with its output."""

    process: subprocess.Popen[bytes]
    log: Path

    def members(self) -> list[psutil.Process]:
        """List the running processes of the group."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def end(self, number: signal.Signals, within: float = 60) -> int:
        """Send a signal to the group, wait until no member is left, and return the exit status."""
        os.killpg(self.process.pid, number)
        status = self.process.wait(timeout=within)
        wait_for(lambda: not self.members(), within, lambda: f"still running: {self.members()}")
        return status

    def output(self) -> str:
        """Read the output so far."""
        return self.log.read_text(errors="replace")


@contextmanager
def running_server(
    command: list[str], environment: Mapping[str, str], log: Path, cwd: Path = ROOT
) -> Iterator[ServerProcess]:
    """Run ``command`` in a new process group, which is terminated at the end of the block."""
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
    server = ServerProcess(process, log)
    try:
        yield server
    finally:
        terminate_processes(server.members(), timeout=5)
        process.wait()


def wait_for_response(server: ServerProcess, url: str, within: float = 60) -> httpx.Response:
    """Wait until ``url`` responds with 200; returns the response."""

    def request() -> httpx.Response | None:
        assert server.process.poll() is None, f"the server ended before {url} responded:\n{server.output()[-3000:]}"
        try:
            response = httpx.get(url, timeout=5, follow_redirects=True)
        except httpx.TransportError:
            return None
        return response if response.status_code == 200 else None

    return wait_for(request, within, lambda: f"no response 200 from {url}:\n{server.output()[-3000:]}")


def is_port_free(port: int) -> bool:
    """Check whether a server can listen on ``port``."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
