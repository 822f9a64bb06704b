"""A circuit breaker: what fails again and again is left alone for a moment instead of being waited for.

Nygard, *Release It!* (2007). Threads may share one: at worst a failure is not counted, or two try again.
"""

import time
from collections.abc import Callable

FAILURES = 3
OPEN_SECONDS = 1.0


class CircuitBreaker:
    """Opens after so many failures in a row; a second later one call may try again, and its success closes it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._try_again_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for one each ``OPEN_SECONDS``."""
        return self._failures >= FAILURES

    def allows(self) -> bool:
        """Whether to make the call."""
        if not self.is_open:
            return True
        if self._clock() < self._try_again_at:
            return False
        self._try_again_at = self._clock() + OPEN_SECONDS  # the others do not wait for what this one finds
        return True

    def failed(self) -> None:
        """The call failed."""
        self._failures += 1
        self._try_again_at = self._clock() + OPEN_SECONDS

    def succeeded(self) -> None:
        """The call succeeded."""
        self._failures = 0
