"""Queue of the prediction log, bounded by rows, with counts of written and dropped rows."""

import math
import threading
import time
from collections.abc import Callable

from holdfast.core.prediction_log import ScoredBatch

# Two busy threads can keep the writer from the GIL for seconds. If the writer is late, a producer waits for 8 ms, at
# most every 100 ms: that costs less than a tenth of the throughput even if it does not help.
_LATE_SECONDS, _YIELD_SECONDS, _YIELD_INTERVAL = 0.04, 0.008, 0.1


class PredictionQueue:
    """Queue for many producers and one writer; taken rows count as queued until they are written or dropped.

    Args:
        max_rows: Maximum number of queued rows.
        clock: Monotonic time, seconds.
    """

    def __init__(self, max_rows: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_rows = max_rows
        self._clock = clock
        self._lock = threading.Lock()  # held for a few instructions only
        self._batches: list[ScoredBatch] = []
        self._put_since = self._taken_since = math.inf  # when the oldest waiting, and the oldest taken batch was put
        self._closed = False
        self._yield_at = 0.0
        self._done = threading.Event()
        self.queued_rows = self.written_rows = self.dropped_rows = 0
        self.overflowed = False
        self.is_stuck = False  # the writer waits for the disk, so that producers need not yield

    def put(self, batch: ScoredBatch) -> None:
        """Queue a batch, or drop it if the queue is full; an empty queue takes a batch of any size.

        Args:
            batch: Scored batch.
        """
        rows, now = batch.rows, self._clock()
        with self._lock:
            if self._closed or (self.queued_rows and self.queued_rows + rows > self._max_rows):
                self.dropped_rows += rows
                self.overflowed = True
            else:
                self._batches.append(batch)
                self.queued_rows += rows
                self._put_since = min(self._put_since, now)
        late = now - min(self._put_since, self._taken_since) > _LATE_SECONDS
        if late and now >= self._yield_at and not self.is_stuck:
            self._yield_at = now + _YIELD_INTERVAL
            self._done.clear()
            self._done.wait(_YIELD_SECONDS)

    def take(self) -> list[ScoredBatch]:
        """Take all waiting batches.

        Returns:
            Batches in order.
        """
        with self._lock:
            taken, self._batches = self._batches, []
            self._taken_since = min(self._taken_since, self._put_since)
            self._put_since = math.inf
        return taken

    def mark(self, batches: list[ScoredBatch], written: bool) -> int:
        """Count taken batches as written or dropped.

        Args:
            batches: Batches.
            written: True: written; False: dropped.

        Returns:
            Number of rows.
        """
        rows = sum(batch.rows for batch in batches)
        with self._lock:
            self.queued_rows -= rows
            if written:
                self.written_rows += rows
            else:
                self.dropped_rows += rows
        return rows

    def finish(self) -> int:
        """Record that all taken batches are written or dropped.

        Returns:
            Number of rows dropped so far.
        """
        with self._lock:
            self._taken_since = math.inf
            self.overflowed = False
            dropped = self.dropped_rows
        self._done.set()
        return dropped

    def close(self) -> bool:
        """Stop accepting batches; waiting batches can still be taken.

        Returns:
            False if the queue was closed before.
        """
        with self._lock:
            was_open, self._closed = not self._closed, True
        return was_open
