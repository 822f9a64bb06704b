"""Detection of requests that the service scored but did not write to the prediction log."""

from datetime import datetime, timedelta

from holdfast.rollout.guardrails import MIN_ROWS

MAX_FLUSH_TIME = timedelta(seconds=30)  # far longer than a healthy service takes to write a scored request


class LogLag:
    """Lag of the prediction log behind the service; requests that are not logged cannot be evaluated.

    Args:
        now: Start of the monitoring.

    Attributes:
        missing_requests: Requests that the service scored since the log last grew.
    """

    def __init__(self, now: datetime) -> None:
        self._logged, self._scored, self._last_complete = 0, -1.0, now
        self.missing_requests = 0.0

    def update(self, logged: int, scored: float, now: datetime) -> None:
        """Add a poll.

        Args:
            logged: Requests in the log.
            scored: Requests that the service has counted since its start.
            now: Time of the poll.
        """
        if logged > self._logged or not 0 <= self._scored <= scored:
            self._logged, self._scored = logged, scored
        self.missing_requests = scored - self._scored
        if self.missing_requests < MIN_ROWS:
            self._last_complete = now

    def stalled_for(self, now: datetime) -> timedelta:
        """Compute the time since the log last held all scored requests.

        Args:
            now: Time of the evaluation.

        Returns:
            The time; zero if at most a few requests are missing.
        """
        return now - self._last_complete if self.missing_requests >= MIN_ROWS else timedelta()

    def is_stalled(self, now: datetime) -> bool:
        """Check if the log lags longer than ``MAX_FLUSH_TIME``.

        Args:
            now: Time of the evaluation.

        Returns:
            True if it does.
        """
        return self.stalled_for(now) > MAX_FLUSH_TIME
