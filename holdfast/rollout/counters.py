"""Counts of the service within a rollout step, across restarts of the service."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from holdfast.model_versions.records import RolloutRecord
from holdfast.rollout.service_metrics import is_restarted, select_counters

Counters = Mapping[str, float]

RECENT = timedelta(minutes=5)  # longer than a deployment, short enough to wait for


class CounterTracker:
    """Counts of a step, updated at each poll. Counters of two service processes are never subtracted.

    Args:
        record: Record of the step; an interrupted rollout resumes from its counters.
        versions: Versions whose counters the record keeps.

    Attributes:
        start_counters: Counters of the service at the start of the step; also the reference for usual error rates.
        restart_counters: Counts of the step before the latest restart of the service; empty without a restart.
        counters: Counts since the start of the step.
        recent_counters: Counts since a poll ``RECENT`` ago, or the last poll before that time.
    """

    def __init__(self, record: RolloutRecord, versions: Sequence[str]) -> None:
        self._versions = versions
        self.start_counters: Counters = record.start_counters
        self.restart_counters: Counters = record.restart_counters
        self.counters: Counters = dict(record.restart_counters)
        self.recent_counters: Counters = {}
        self._last: Counters = {} if record.restart_counters else record.start_counters
        self._polls = deque([(record.started_at, self.counters)])

    def update(self, now: Counters, at: datetime) -> None:
        """Add a poll.

        Args:
            now: Counters of the service.
            at: Time of the poll.
        """
        if not self.start_counters:  # the service did not respond at the start of the step
            self.start_counters = self._last = select_counters(now, self._versions)
        if is_restarted(self._last, now):
            self.restart_counters = select_counters(dict.fromkeys(now, 0.0) | dict(self.counters), self._versions)
        start = {} if self.restart_counters else self.start_counters
        self.counters = {
            name: now.get(name, 0.0) - start.get(name, 0.0) + self.restart_counters.get(name, 0.0)
            for name in now.keys() | self.restart_counters.keys()
        }
        self._last = now
        self._polls.append((at, self.counters))
        while self._polls[1][0] <= at - RECENT:
            self._polls.popleft()
        before = self._polls[0][1]
        self.recent_counters = {name: value - before.get(name, 0.0) for name, value in self.counters.items()}

    def update_record(self, record: RolloutRecord) -> RolloutRecord:
        """Put the counters that a resumed rollout needs into a record.

        Args:
            record: Record of the step.

        Returns:
            The changed record; the same object if nothing changed.
        """
        if (record.start_counters, record.restart_counters) == (self.start_counters, self.restart_counters):
            return record
        return record.model_copy(
            update={"start_counters": dict(self.start_counters), "restart_counters": dict(self.restart_counters)}
        )
