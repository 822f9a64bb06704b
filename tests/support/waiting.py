"""Waits of tests."""

import time
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")

_SHORTEST, _LONGEST = 0.02, 0.25  # seconds between two calls
_SHARE = 0.05  # of the time waited so far


def wait_for(
    condition: Callable[[], _Result | None],
    within: float = 60,
    describe_failure: Callable[[], object] = lambda: "the condition stayed false",
) -> _Result:
    """Poll ``condition`` until its result is true, and return the result; fails after ``within`` seconds.

    The pauses grow with the wait: fifty requests a second to a server that starts would take the core that it needs.
    """
    start = time.monotonic()
    while not (result := condition()) and (waited := time.monotonic() - start) < within:
        time.sleep(min(max(_SHORTEST, waited * _SHARE), _LONGEST))
    assert result, describe_failure()
    return result
