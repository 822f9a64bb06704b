"""Waits of tests."""

from collections.abc import Callable
from typing import TypeVar

from holdfast.runtime.polling import poll_until

_Result = TypeVar("_Result")


def wait_for(
    condition: Callable[[], _Result | None],
    within: float = 60,
    describe_failure: Callable[[], object] = lambda: "the condition stayed false",
) -> _Result:
    """Poll ``condition`` until its result is true, and return the result; fails after ``within`` seconds."""
    result = poll_until(condition, within, 0.02)
    assert result, describe_failure()
    return result
