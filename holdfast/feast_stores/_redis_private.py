"""Private names of redis-py: no other module of the library uses one.

tests/unit/feast_stores/test_redis_private.py is the contract test, which fails if a new release of redis-py changes the
name.
"""

from typing import Any


def set_reply_timeout(connection: Any, seconds: float | None) -> None:
    """Change the time limit of the next reply; redis-py itself sets one when it connects, for all replies.

    Args:
        connection: Open connection of redis-py.
        seconds: Time limit; None: no limit.
    """
    connection._sock.settimeout(seconds)
