"""`make up` as a process of a test."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.local.orphans import find_orphans, terminate_orphans
from holdfast.runtime.processes import free_port
from tests.support.main_job import environment_of
from tests.support.server_processes import ServerProcess, is_port_free, running_server
from tests.support.waiting import wait_for

SERVERS = ("prefect", "mlflow", "service", "evidently", "feast", "status")


@dataclass(frozen=True)
class LocalStack:
    """Running `make up`.

    Attributes:
        ports: Name of a server to its port.
    """

    server: ServerProcess
    ports: dict[str, int]
    data: Path

    def url(self, name: str, path: str = "/") -> str:
        """Return the URL of a server."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    @property
    def password(self) -> str:
        """Return the password of Prefect's API."""
        return (self.data / "local" / "prefect-password").read_text().strip()

    def wait_for_output(self, text: str, within: float = 180) -> None:
        """Wait until ``text`` was printed."""

        def has_output() -> bool:
            assert self.server.process.poll() is None, f"make up ended:\n{self.server.output()}"
            return text in self.server.output()

        wait_for(has_output, within, lambda: f"{text!r} was not printed:\n{self.server.output()}")

    def process(self, command: str) -> int:
        """Return the id of the process with ``command`` in its command line."""
        found = [item.pid for item in find_orphans(self.data) if command in " ".join(item.cmdline())]
        assert len(found) == 1, f"{command}: {found}"
        return found[0]

    def state(self) -> dict[str, Any]:
        """Read the state from the status page."""
        return dict(httpx.get(self.url("status", "/state.json"), timeout=60).json())

    def end(self, number: signal.Signals, within: float = 60) -> int:
        """Send a signal (SIGINT to the group, as a terminal does), and check that no process is left."""
        if number == signal.SIGINT:
            os.killpg(self.server.process.pid, number)
        else:
            self.server.process.send_signal(number)
        status = self.server.process.wait(within)
        assert list(find_orphans(self.data)) == []
        assert [name for name, port in self.ports.items() if not is_port_free(port)] == []
        return status


def stack_environment(data: Path, ports: dict[str, int] | None = None) -> dict[str, str]:
    """Build the environment for `make up` on ``data``, with free ports by default."""
    ports = ports or {name: free_port() for name in SERVERS}
    return environment_of(data) | {f"HOLDFAST_{name.upper()}_PORT": str(port) for name, port in ports.items()}


@contextmanager
def running_stack(data: Path, command: list[str], **more: str) -> Iterator[LocalStack]:
    """Run `make up` for the block."""
    ports = {name: free_port() for name in SERVERS}
    data.parent.mkdir(parents=True, exist_ok=True)
    try:
        with running_server(command, stack_environment(data, ports) | more, data.parent / "up.log") as server:
            yield LocalStack(server, ports, data)
    finally:
        terminate_orphans(data)
