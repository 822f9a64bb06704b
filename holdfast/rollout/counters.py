"""Counters of the service during a rollout step, across restarts of the service."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from holdfast.model_versions.records import RolloutRecord
from holdfast.rollout.service_metrics import is_restarted, select_counters

Counters = Mapping[str, float]

RECENT = timedelta(minutes=5)  # longer than a deployment, shorter than anybody waits for


class CounterTracker:
    """Counters of a step; counters of two processes are never subtracted from each other.

    Attributes:
        base: Counters of the service at the begin of the step, also the reference for the usual error share.
        carried: Counts of the step by processes that have ended; empty without a restart.
        grown: Counts of the step up to now.
        lately: Counts of the last five minutes.
    """

    def __init__(self, record: RolloutRecord, versions: Sequence[str]) -> None:
        self._versions = versions
        self.base: Counters = record.base
        self.carried: Counters = record.carried
        self.grown: Counters = dict(record.carried)
        self.lately: Counters = {}
        self._last: Counters = {} if record.carried else record.base
        self._looks = deque([(record.begun, self.grown)])

    def look(self, now: Counters, at: datetime) -> None:
        """The counters as the service tells them now, which is ``at``."""
        if not self.base:  # it did not answer when the step began
            self.base = self._last = select_counters(now, self._versions)
        if is_restarted(self._last, now):
            self.carried = select_counters(dict.fromkeys(now, 0.0) | dict(self.grown), self._versions)
        start = {} if self.carried else self.base
        self.grown = {
            name: now.get(name, 0.0) - start.get(name, 0.0) + self.carried.get(name, 0.0)
            for name in now.keys() | self.carried.keys()
        }
        self._last = now
        self._looks.append((at, self.grown))
        while self._looks[1][0] <= at - RECENT:
            self._looks.popleft()
        then = self._looks[0][1]
        self.lately = {name: value - then.get(name, 0.0) for name, value in self.grown.items()}

    def in_record(self, record: RolloutRecord) -> RolloutRecord:
        """Store ``base`` and ``carried`` in the record, from which a killed rollout resumes.

        Args:
            record: Record of the step.

        Returns:
            The record with both; the same object if nothing changed.
        """
        if (record.base, record.carried) == (self.base, self.carried):
            return record
        return record.model_copy(update={"base": dict(self.base), "carried": dict(self.carried)})
