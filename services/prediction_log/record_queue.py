"""The queue before the prediction log: bounded by rows, and what became of them."""

import math
import threading
import time
from collections.abc import Callable

from holdfast.core.prediction_log import ScoredBatch

# Two busy threads can keep the writer from the GIL for seconds. Where it is late, one of them steps aside, but so
# seldom that it costs less than a tenth of the answers even where nothing helps.
_LATE, _STEP_ASIDE, _EVERY = 0.04, 0.008, 0.1  # seconds


class PredictionQueue:
    """Any thread puts, one takes. Rows that were taken count as queued until they are written or dropped."""

    def __init__(self, max_rows: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_rows = max_rows
        self._clock = clock
        self._lock = threading.Lock()  # nobody holds it for longer than a few instructions
        self._batches: list[ScoredBatch] = []
        self._put_since = self._taken_since = math.inf  # when the oldest of those put, and of those taken, was put
        self._closed = False
        self._step_aside_at = 0.0
        self._done = threading.Event()
        self.queued_rows = self.written_rows = self.dropped_rows = 0
        self.overflowed = False
        self.is_stuck = False  # the writer waits for a disk, and nobody needs to step aside

    def put(self, batch: ScoredBatch) -> None:
        """Queue a batch, or drop it where there is no room; where nothing is queued, there is room for any."""
        rows, now = batch.rows, self._clock()
        with self._lock:
            if self._closed or (self.queued_rows and self.queued_rows + rows > self._max_rows):
                self.dropped_rows += rows
                self.overflowed = True
            else:
                self._batches.append(batch)
                self.queued_rows += rows
                self._put_since = min(self._put_since, now)
        late = now - min(self._put_since, self._taken_since) > _LATE
        if late and now >= self._step_aside_at and not self.is_stuck:
            self._step_aside_at = now + _EVERY
            self._done.clear()
            self._done.wait(_STEP_ASIDE)

    def take(self) -> list[ScoredBatch]:
        """All batches that were put since the last time."""
        with self._lock:
            taken, self._batches = self._batches, []
            self._taken_since = min(self._taken_since, self._put_since)
            self._put_since = math.inf
        return taken

    def count(self, batches: list[ScoredBatch], written: bool) -> int:
        """Batches that were taken are written, or dropped; returns their rows."""
        rows = sum(batch.rows for batch in batches)
        with self._lock:
            self.queued_rows -= rows
            if written:
                self.written_rows += rows
            else:
                self.dropped_rows += rows
        return rows

    def all_done(self) -> int:
        """Nothing that was taken is left; returns how many rows were dropped so far."""
        with self._lock:
            self._taken_since = math.inf
            self.overflowed = False
            dropped = self.dropped_rows
        self._done.set()
        return dropped

    def close(self) -> bool:
        """Take no more; whatever was put before can be taken. False if it was closed already."""
        with self._lock:
            was_open, self._closed = not self._closed, True
        return was_open
