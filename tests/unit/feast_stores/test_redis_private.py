"""Contract of the private name of redis-py: these tests fail when a new version of redis-py changes it."""

import re
import time
from pathlib import Path

import pytest
import redis

import holdfast
from holdfast.feast_stores import _redis_private
from holdfast.feast_stores._redis_private import set_reply_timeout
from tests.support.redis_server import FaultyRedisServer


def test_set_reply_timeout_limits_the_next_reply(redis_server: FaultyRedisServer) -> None:
    pool = redis.ConnectionPool(host="127.0.0.1", port=redis_server.port, socket_timeout=30)
    connection = pool.get_connection()
    set_reply_timeout(connection, 0.2)
    began = time.monotonic()
    connection.send_command("BLPOP", "nothing", 0)
    with pytest.raises(redis.TimeoutError):
        connection.read_response()
    assert 0.1 < time.monotonic() - began < 10
    connection.disconnect()


def test_set_reply_timeout_can_be_set_back(redis_server: FaultyRedisServer) -> None:
    pool = redis.ConnectionPool(host="127.0.0.1", port=redis_server.port, socket_timeout=0.2)
    connection = pool.get_connection()
    for seconds in (None, 30, connection.socket_timeout):
        set_reply_timeout(connection, seconds)
        connection.send_command("PING")
        assert connection.read_response() == b"PONG"
    connection.send_command("BLPOP", "nothing", 0)
    with pytest.raises(redis.TimeoutError):
        connection.read_response()
    connection.disconnect()


def test_library_uses_the_socket_of_redis_in_one_module_only() -> None:
    root = Path(holdfast.__file__).parent
    users = [path for path in root.rglob("*.py") if re.search(r"\._sock\b", path.read_text())]
    assert users == [Path(_redis_private.__file__)]
