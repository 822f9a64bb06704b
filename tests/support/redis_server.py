"""Redis servers for tests."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from simulations.redis_server import RedisServer


class FaultyRedisServer(RedisServer):
    """Redis server that a test restarts, pauses, or protects by a password."""

    password = ""

    @property
    def connection_string(self) -> str:
        """Return the address with the password."""
        return super().connection_string + (f",password={self.password}" if self.password else "")

    def client(self, db: int = 0) -> redis.Redis:
        """Create a client of a database that uses the password."""
        client = super().client()
        client.connection_pool.connection_kwargs |= {"db": db, "password": self.password or None}
        return client

    def restart(self) -> None:
        """Kill the server and start it on the same port with the same data, without a password."""
        self.kill()
        self.password = ""
        self.start()

    def pause(self) -> None:
        """Accept connections but respond to nothing until :meth:`resume`."""
        self.process.pause()

    def resume(self) -> None:
        """Respond again, also to the commands received meanwhile."""
        self.process.resume()

    def set_password(self, password: str) -> None:
        """Require a password for new connections; "" for none."""
        self.client().config_set("requirepass", password)
        self.password = password


@contextmanager
def temporary_redis() -> Iterator[FaultyRedisServer]:
    """Run a Redis server for the block, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="holdfast-redis-") as folder:
        server = FaultyRedisServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


@pytest.fixture
def redis_server() -> Iterator[FaultyRedisServer]:
    """Run an empty server for one test. Import this fixture in the ``conftest.py`` of the tests."""
    with temporary_redis() as server:
        yield server
