"""Circuit breaker: stops calls that fail repeatedly, so that requests do not wait for each failure.

Nygard, *Release It!* (2007). Threads may share a breaker: at worst a failure is not counted, or two calls are retried.
"""

import time
from collections.abc import Callable

FAILURES = 3
OPEN_SECONDS = 1.0


class CircuitBreaker:
    """Breaker that opens after ``FAILURES`` in a row; then one call per ``OPEN_SECONDS`` may try to close it.

    Args:
        clock: Monotonic time, seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._retry_at = 0.0

    @property
    def is_open(self) -> bool:
        """Return True while calls are stopped, except for one per ``OPEN_SECONDS``."""
        return self._failures >= FAILURES

    def allows(self) -> bool:
        """Decide whether to make a call.

        Returns:
            True while the breaker is closed, or for the one call that retries.
        """
        if not self.is_open:
            return True
        if self._clock() < self._retry_at:
            return False
        self._retry_at = self._clock() + OPEN_SECONDS  # other calls do not wait for the result of this one
        return True

    def record_failure(self) -> None:
        """Count a failed call."""
        self._failures += 1
        self._retry_at = self._clock() + OPEN_SECONDS

    def record_success(self) -> None:
        """Close the breaker after a successful call."""
        self._failures = 0
