"""Polling of a condition."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def poll_until(condition: Callable[[], Result], timeout: float, poll_seconds: float = 0.2) -> Result:
    """Poll a condition until it is true or the time is over.

    Args:
        condition: Called at least once.
        timeout: Seconds until the last call.
        poll_seconds: Seconds between two calls.

    Returns:
        Last result of the condition; false when the time is over.
    """
    deadline = time.monotonic() + timeout
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(poll_seconds)
    return result
