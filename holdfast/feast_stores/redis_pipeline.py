"""One read of a Redis server: commands sent at once, their answers taken within one time limit."""

import math
import time
from collections.abc import Sequence
from typing import Any

from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

Reply = Sequence[Any]  # bytes, or None for a field that is not there

# In place of what a key holds that is no hash: not a value of any type, nor a time.
_UNREADABLE = b"\xff"


class Deadline:
    """The time that a read may take: ``limit`` seconds from now; None is without end."""

    __slots__ = ("deadline", "limit", "slack")

    def __init__(self, limit: float | None) -> None:
        self.limit = math.inf if limit is None else limit
        self.slack = self.limit / 10
        self.deadline = time.monotonic() + self.limit

    def remaining(self) -> float:
        """Seconds, more than none.

        Raises:
            TimeoutError: It is spent.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"The read took longer than {self.limit} s.")
        return left


def execute_pipeline(
    pool: ConnectionPool, commands: bytes, replies: int, fields: int, deadline: Deadline
) -> list[Reply]:
    """The replies, each of so many ``fields``, to packed ``commands``; once more if the connection breaks.

    Raises:
        RedisError: There are none, or not in time. No connection is left with an answer under way.
    """
    connection: Any = pool.get_connection()
    try:
        try:
            return _answers(connection, commands, replies, fields, deadline)
        except ConnectionError:  # it broke during the read; the server may be back, and to read again does no harm
            connection.disconnect()
            _connect_again(connection, deadline)
            return _answers(connection, commands, replies, fields, deadline)
    except BaseException:
        connection.disconnect()  # the next to use it would read what is left of these replies
        raise
    finally:
        pool.release(connection)


def _connect_again(connection: Any, deadline: Deadline) -> None:
    usual = connection.socket_connect_timeout
    connection.socket_connect_timeout = min(deadline.remaining(), math.inf if usual is None else usual)
    try:
        connection.connect()
    finally:
        connection.socket_connect_timeout = usual


def _answers(connection: Any, commands: bytes, replies: int, fields: int, deadline: Deadline) -> list[Reply]:
    """As ``exchange``.

    The connection's own limit is for each answer. To shorten it to what is left costs a system call, so that is done
    only where it is more than a tenth of the deadline too long: never in a read that is as quick as it should be.
    """
    now = time.monotonic
    shorten_at = near = deadline.deadline - deadline.limit + deadline.slack
    if now() > shorten_at:
        shorten_at = _shorten(connection, deadline)
    connection.send_packed_command([commands])
    found: list[Reply] = []
    for _ in range(replies):
        if now() > shorten_at:
            shorten_at = _shorten(connection, deadline)
        found.append(_reply(connection, fields))
    if shorten_at != near:
        connection._sock.settimeout(connection.socket_timeout)
    return found


def _shorten(connection: Any, deadline: Deadline) -> float:
    """Let ``connection`` wait no longer than is left; gives when to do so again."""
    left = deadline.remaining()
    connection._sock.settimeout(left)
    return deadline.deadline - left + deadline.slack


def _reply(connection: Any, fields: int) -> Reply:
    try:
        reply: Reply = connection.read_response(disable_decoding=True)
        return reply
    except ResponseError as error:
        if not str(error).startswith("WRONGTYPE"):
            raise
        return [_UNREADABLE] * fields  # this customer's trouble, not that of all who are asked for with them
