"""Fast path of Redis: packed commands in one send, with one time limit for all replies.

redis-py packs the arguments of a command one by one and applies its time limit to each reply separately. This module
packs the common part of the commands once and has one limit: a read of 20 fields of 300 customers from a local server
takes 1.8 ms instead of 3.9 ms, one of 1 customer 0.05 ms instead of 0.06 ms (medians, one core of a virtual machine).
``fast_reads: false`` in ``feature_store.redis.yaml`` switches it off; reads then use Feast's pipeline, and
tests/unit/feast_stores/test_redis_online_store.py compares the two.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from holdfast.feast_stores._redis_private import set_reply_timeout

_Reply = Sequence[Any]  # bytes, or None for a missing field

_UNREADABLE = b"\xff"  # instead of the value of a key that is not a hash: neither a value of any type nor a time
_BATCH = 1000  # customers per round trip: limits the memory of the server and the wait of its other clients


class _Deadline:
    """Time limit of a read.

    The socket's own timeout applies to each reply. Shortening it costs a system call, so it is shortened only after a
    tenth of the time limit has passed: never in a read of usual speed.

    Args:
        limit: Seconds from now; None for no limit.
    """

    __slots__ = ("_first", "_limit", "_shorten_at", "_slack", "end")

    def __init__(self, limit: float | None) -> None:
        self._limit = math.inf if limit is None else limit
        self._slack = self._limit / 10
        start = time.monotonic()
        self.end = start + self._limit
        self._first = self._shorten_at = start + self._slack

    def remaining(self) -> float:
        """Compute the remaining time."""
        remaining = self.end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError(f"The read took longer than {self._limit} s.")
        return remaining

    def shorten_timeout(self, connection: Any) -> None:
        """Set the timeout of a connection to the remaining time, if much time has passed since the last call."""
        if time.monotonic() > self._shorten_at:
            remaining = self.remaining()
            set_reply_timeout(connection, remaining)
            self._shorten_at = self.end - remaining + self._slack

    def restore_timeout(self, connection: Any) -> None:
        """Set the timeout of a connection to the configured one."""
        if self._shorten_at != self._first:
            set_reply_timeout(connection, connection.socket_timeout)
            self._shorten_at = self._first


def hash_reader(
    connection_pool: Callable[[], ConnectionPool], fields: Sequence[str | bytes]
) -> Callable[[Sequence[bytes]], Callable[[], list[_Reply]]]:
    """Create a reader of the same fields of several hashes.

    Args:
        connection_pool: Returns the connection pool; called at each read.
        fields: Fields to read of each hash.

    Returns:
        Function from keys to a function that returns one reply per key and must be called. The commands of the first
        thousand keys are sent before.
    """
    head, tail = _pack_around_key("HMGET", fields)

    def start(keys: Sequence[bytes]) -> Callable[[], list[_Reply]]:
        pool = connection_pool()
        deadline = _Deadline(pool.connection_kwargs.get("socket_timeout"))

        def send(first: int) -> Callable[[], list[_Reply]]:
            batch = keys[first : first + _BATCH]
            commands = [b"%b%d\r\n%b%b" % (head, len(key), key, tail) for key in batch]
            return _start_pipeline(pool, b"".join(commands), len(batch), len(fields), deadline)

        receive = send(0) if keys else list

        def finish() -> list[_Reply]:
            replies = receive()
            for first in range(_BATCH, len(keys), _BATCH):
                replies += send(first)()
            return replies

        return finish

    return start


def execute_commands(pool: ConnectionPool, commands: bytes, replies: int) -> None:
    """Send packed commands that may be repeated, and wait for their replies, no longer than the limit of one read.

    Args:
        pool: Connection pool.
        commands: Commands in the Redis protocol.
        replies: Number of commands.

    Raises:
        RedisError: The server does not reply in time, or refuses a command.
    """
    if replies:
        _start_pipeline(pool, commands, replies, None, _Deadline(pool.connection_kwargs.get("socket_timeout")))()


def _pack_around_key(command: str, arguments: Sequence[str | bytes]) -> tuple[bytes, bytes]:
    """Pack a command in the Redis protocol; return the parts before the length of the key and after the key."""
    parts = [part.encode() if isinstance(part, str) else part for part in (command, *arguments)]
    packed = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"*%d\r\n%b$" % (len(parts) + 1, packed[0]), b"\r\n" + b"".join(packed[1:])


def _start_pipeline(
    pool: ConnectionPool, commands: bytes, replies: int, fields: int | None, deadline: _Deadline
) -> Callable[[], list[_Reply]]:
    """Send packed commands; the returned function receives their replies, and retries once if the connection breaks."""
    connection: Any = pool.get_connection()
    is_sent = True
    try:
        _send(connection, commands, deadline)
    except ConnectionError:
        is_sent = False
    except BaseException:
        connection.disconnect()
        pool.release(connection)
        raise

    def receive() -> list[_Reply]:
        try:
            if is_sent:
                with suppress(ConnectionError):  # the server may have restarted, and the commands can be repeated
                    return _receive_all(connection, replies, fields, deadline)
            connection.disconnect()
            _reconnect(connection, deadline)
            _send(connection, commands, deadline)
            return _receive_all(connection, replies, fields, deadline)
        except BaseException:
            connection.disconnect()  # the next user would read the outstanding replies
            raise
        finally:
            pool.release(connection)

    return receive


def _reconnect(connection: Any, deadline: _Deadline) -> None:
    configured = connection.socket_connect_timeout
    connection.socket_connect_timeout = min(deadline.remaining(), math.inf if configured is None else configured)
    try:
        connection.connect()
    finally:
        connection.socket_connect_timeout = configured


def _send(connection: Any, commands: bytes, deadline: _Deadline) -> None:
    deadline.shorten_timeout(connection)
    connection.send_packed_command([commands])


def _receive_all(connection: Any, replies: int, fields: int | None, deadline: _Deadline) -> list[_Reply]:
    received: list[_Reply] = []
    for _ in range(replies):
        deadline.shorten_timeout(connection)
        received.append(_receive(connection, fields))
    deadline.restore_timeout(connection)
    return received


def _receive(connection: Any, fields: int | None) -> _Reply:
    try:
        reply: _Reply = connection.read_response(disable_decoding=True)
        return reply
    except ResponseError as error:
        if fields is None or not str(error).startswith("WRONGTYPE"):
            raise
        return [_UNREADABLE] * fields  # affects this customer only, not the others of the request
