"""`make up` as a process of a test's own."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.local.orphans import end_left_over, left_over
from tests.support.main_job import environment_of
from tests.support.server_processes import ServerProcess, free_port, is_port_free, running_server, wait_for

NAMES = ("prefect", "mlflow", "service", "evidently", "feast", "status")


@dataclass(frozen=True)
class Up:
    """The process, where each part listens, and the data folder."""

    server: ServerProcess
    ports: dict[str, int]
    data: Path

    def url(self, name: str, path: str = "/") -> str:
        """An address of a part."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def says(self, text: str, within: float = 180) -> None:
        """Wait until it has printed ``text``."""

        def said() -> bool:
            assert self.server.process.poll() is None, f"it ended:\n{self.server.output()}"
            return text in self.server.output()

        wait_for(said, within, lambda: f"it never said {text!r}:\n{self.server.output()}")

    def process(self, command: str) -> int:
        """The number of its process with ``command`` in its command line."""
        found = [item.pid for item in left_over(self.data) if command in " ".join(item.cmdline())]
        assert len(found) == 1, f"{command}: {found}"
        return found[0]

    def state(self) -> dict[str, Any]:
        """What the status page knows."""
        return dict(httpx.get(self.url("status", "/state.json"), timeout=60).json())

    def end(self, number: signal.Signals, within: float = 60) -> int:
        """Signal it: SIGINT as a terminal does, all of its group; its exit status once nothing of it is left."""
        if number == signal.SIGINT:
            os.killpg(self.server.process.pid, number)
        else:
            self.server.process.send_signal(number)
        status = self.server.process.wait(within)
        assert left_over(self.data) == []
        assert [name for name, port in self.ports.items() if not is_port_free(port)] == []
        return status


def variables(data: Path, ports: dict[str, int] | None = None) -> dict[str, str]:
    """The environment for `make up` on ``data``."""
    ports = ports or {name: free_port() for name in NAMES}
    return environment_of(data) | {f"HOLDFAST_{name.upper()}_PORT": str(port) for name, port in ports.items()}


@contextmanager
def up(data: Path, command: list[str], **more: str) -> Iterator[Up]:
    """It for the block; whatever it leaves is killed with the block."""
    ports = {name: free_port() for name in NAMES}
    data.parent.mkdir(parents=True, exist_ok=True)
    try:
        with running_server(command, variables(data, ports) | more, data.parent / "up.log") as server:
            yield Up(server, ports, data)
    finally:
        end_left_over(data)
