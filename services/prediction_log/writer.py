"""Logs every prediction with what it saw, from a thread of its own: answers never wait for a disk."""

import atexit
import threading
import time
from collections.abc import Callable
from pathlib import Path

from feature_repo.timestamps import DAY_US
from holdfast.core.prediction_log import LogKey, ScoredBatch
from services.observability.logs import LOG
from services.prediction_log.arrow_records import records, warm_up
from services.prediction_log.files import PredictionFiles, delete_days
from services.prediction_log.record_queue import PredictionQueue


def _wall_us() -> int:
    return time.time_ns() // 1000


class PredictionLog:
    """Takes scored batches from any thread and appends them to files of ``folder``.

    Some ``interval`` seconds after :meth:`append` a batch is with the operating system, and outlives a SIGKILL of
    this process (not a power cut). Where the disk is full or slow, up to ``max_queued_rows`` wait; what comes beyond
    that is dropped and counted, and ``degraded`` says why. :meth:`close` writes what is left; so does the end of the
    interpreter, but a process that a signal ends has to call it.

    Days more than ``keep_days`` ago are deleted at start and at midnight, UTC; None keeps all.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep_days: int | None = None,
        max_queued_rows: int = 100_000,
        max_file_bytes: int = 64 * 2**20,
        interval: float = 0.02,
        retry_seconds: float = 1.0,
        clock_us: Callable[[], int] = _wall_us,
    ) -> None:
        self._folder = folder
        self._keep_days = keep_days
        self._max_queued_rows = max_queued_rows
        self._interval = interval
        self._retry_seconds = retry_seconds
        self._clock_us = clock_us
        self._queue = PredictionQueue(max_queued_rows)
        self._problem: str | None = None
        # The writer's own: what it took from the queue and has not written, and what it has said.
        self._files = PredictionFiles(folder, max_file_bytes, clock_us)
        self._pending: dict[LogKey, list[ScoredBatch]] = {}
        self._retry_at = 0.0
        self._today = -1
        self._refusal = ""
        self._reported_rows = 0  # of the dropped ones, those that the service's log speaks of
        warm_up()
        self._ends = threading.Event()
        self._writer = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._writer.start()
        atexit.register(self.close)

    @property
    def queued_rows(self) -> int:
        """Predictions that wait to be written."""
        return self._queue.queued_rows

    @property
    def written_rows(self) -> int:
        """Predictions in the log."""
        return self._queue.written_rows

    @property
    def dropped_rows(self) -> int:
        """Predictions that were answered and are not in the log."""
        return self._queue.dropped_rows

    @property
    def degraded(self) -> str | None:
        """Why predictions wait or are lost; None where all is well."""
        return self._problem or ("predictions come faster than they are written" if self._queue.overflowed else None)

    def append(self, batch: ScoredBatch) -> None:
        """Log a batch. Never raises; never waits for the disk, but now and then 8 ms for a writer that is late."""
        self._queue.put(batch)

    def close(self, timeout: float = 5.0) -> None:
        """Write what is queued and end; says what is lost where that fails or takes longer than ``timeout`` seconds."""
        if not self._queue.close():
            return
        atexit.unregister(self.close)
        self._ends.set()
        self._writer.join(timeout)
        if left := self._queue.queued_rows:
            LOG.error("%d predictions are not in the log: %s", left, self._problem or "no time to write")

    def _run(self) -> None:
        while not self._ends.wait(self._interval):
            self._work()
        self._retry_at = 0.0
        self._work()
        self._files.close()

    def _work(self) -> None:
        try:
            self._begin_day(self._clock_us() // DAY_US)
            if time.monotonic() >= self._retry_at:
                self._write()
        except Exception as error:  # whatever it is, answers go on
            self._fail(error)

    def _write(self) -> None:
        for batch in self._queue.take():
            self._pending.setdefault(batch.key, []).append(batch)
        while self._pending:
            key, batches = next(iter(self._pending.items()))
            for part, record in records(key, tuple(batches)):
                if isinstance(record, Exception):
                    self._refuse(part, record)
                else:
                    self._files.append(key, record)
                    self._queue.count(part, written=True)
                del batches[: len(part)]
            del self._pending[key]
        dropped = self._queue.all_done()
        if self._problem or dropped > self._reported_rows:
            self._recover(dropped)

    def _refuse(self, part: list[ScoredBatch], error: Exception) -> None:
        self._reported_rows += self._queue.count(part, written=False)
        if str(error) != self._refusal:
            LOG.error("Predictions that are not as declared are not logged: %s", error)
        self._refusal = str(error)

    def _fail(self, error: Exception) -> None:
        self._retry_at = time.monotonic() + self._retry_seconds
        if self._problem is None:
            LOG.error(
                "Predictions cannot be logged: %s. Answers go on; up to %d predictions wait, more are lost. Is there "
                "room in %s, and may it be written?",
                error,
                self._max_queued_rows,
                self._folder,
                exc_info=None if isinstance(error, OSError) else error,
            )
        self._problem = str(error)
        self._queue.is_stuck = True

    def _recover(self, dropped: int) -> None:
        LOG.warning("Predictions are logged again. Lost: %d.", dropped - self._reported_rows)
        self._reported_rows = dropped
        self._problem = None
        self._queue.is_stuck = False

    def _begin_day(self, day: int) -> None:
        if day == self._today:
            return
        self._today = day
        self._files.close(before_day=day)
        if self._keep_days is not None:  # unlinking gigabytes takes seconds, and predictions would wait for them
            threading.Thread(target=delete_days, args=(self._folder, day - self._keep_days), daemon=True).start()
