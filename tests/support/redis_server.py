"""Redis servers for tests."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulations import redis_server as simulated
from simulations.redis_server import RedisServer


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Run a Redis server for the block, in a temporary folder."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-redis-") as folder,
        simulated.running_redis(Path(folder)) as server,
    ):
        yield server


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """Run an empty server for one test. Import this fixture in the ``conftest.py`` of the tests."""
    with running_redis() as server:
        yield server
