"""Requests that the service has scored but not yet written to the prediction log."""

from datetime import datetime, timedelta

from holdfast.rollout.guardrails import MIN_ROWS

MAX_FLUSH_TIME = timedelta(seconds=30)  # far longer than a healthy service takes to write what it scored


class LogLag:
    """Lag of the prediction log behind the counters of the service; predictions without a log entry cannot be
    evaluated.
    """

    def __init__(self, now: datetime) -> None:
        self._logged, self._scored, self._well = 0, -1.0, now
        self.unseen = 0.0

    def look(self, logged: int, scored: float, now: datetime) -> None:
        """How many requests the log holds, and how many the service has counted since it was started."""
        if logged > self._logged or not 0 <= self._scored <= scored:
            self._logged, self._scored = logged, scored
        self.unseen = scored - self._scored
        if self.unseen < MIN_ROWS:
            self._well = now

    def lost_for(self, now: datetime) -> timedelta:
        """For how long nothing of what it scores has arrived; none where it scores nothing."""
        return now - self._well if self.unseen >= MIN_ROWS else timedelta()

    def is_lost(self, now: datetime) -> bool:
        """Whether that is longer than the log takes."""
        return self.lost_for(now) > MAX_FLUSH_TIME
