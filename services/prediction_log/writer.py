"""Writer of the prediction log: a background thread, so that responses never wait for the disk."""

import atexit
import threading
import time
from collections.abc import Callable
from pathlib import Path

from feature_repo.timestamps import DAY_US
from holdfast.core.prediction_log import LogKey, ScoredBatch
from services.observability.logs import LOG
from services.prediction_log.arrow_records import to_records, warm_up
from services.prediction_log.files import PredictionFiles, delete_days
from services.prediction_log.record_queue import PredictionQueue


def _wall_us() -> int:
    return time.time_ns() // 1000


class PredictionLog:
    """Prediction log, to which any thread appends scored batches.

    About ``interval`` seconds after :meth:`append` a batch is written to the operating system, and survives a SIGKILL
    of this process (not a power cut). While the disk is full or slow, up to ``max_queued_rows`` rows wait; further
    rows are dropped and counted, and ``degraded`` holds the reason. :meth:`close` writes the queued rows; so does the
    end of the interpreter, but a process ended by a signal has to call :meth:`close`.

    Args:
        folder: Folder of the log.
        keep_days: Days that the log is retained; older days are deleted at start and at midnight UTC. None: all.
        max_queued_rows: Maximum number of rows that wait.
        max_file_bytes: Size at which a new file is started.
        interval: Seconds between two writes.
        retry_seconds: Seconds until a failed write is repeated.
        clock_us: Current time, µs since 1970.
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
        # Used by the writer's thread only.
        self._files = PredictionFiles(folder, max_file_bytes, clock_us)
        self._pending: dict[LogKey, list[ScoredBatch]] = {}
        self._retry_at = 0.0
        self._today = -1
        self._last_rejection = ""
        self._reported_rows = 0  # dropped rows that were logged
        warm_up()
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._writer.start()
        atexit.register(self.close)

    @property
    def queued_rows(self) -> int:
        """Return the number of predictions that wait to be written."""
        return self._queue.queued_rows

    @property
    def written_rows(self) -> int:
        """Return the number of predictions written to the log."""
        return self._queue.written_rows

    @property
    def dropped_rows(self) -> int:
        """Return the number of served predictions that are not in the log."""
        return self._queue.dropped_rows

    @property
    def degraded(self) -> str | None:
        """Return the reason why predictions wait or are lost; None without a problem."""
        return self._problem or ("predictions arrive faster than they are written" if self._queue.overflowed else None)

    def append(self, batch: ScoredBatch) -> None:
        """Append a batch; never raises, and waits for at most 8 ms at times when the writer is late.

        Args:
            batch: Scored batch.
        """
        self._queue.put(batch)

    def close(self, timeout: float = 5.0) -> None:
        """Write the queued predictions and end the thread; lost predictions are logged.

        Args:
            timeout: Maximum time, seconds.
        """
        if not self._queue.close():
            return
        atexit.unregister(self.close)
        self._closing.set()
        self._writer.join(timeout)
        if lost := self._queue.queued_rows:
            LOG.error("%d predictions are not in the log: %s", lost, self._problem or "no time left to write")

    def _run(self) -> None:
        while not self._closing.wait(self._interval):
            self._write_or_fail()
        self._retry_at = 0.0
        self._write_or_fail()
        self._files.close()

    def _write_or_fail(self) -> None:
        try:
            self._start_day(self._clock_us() // DAY_US)
            if time.monotonic() >= self._retry_at:
                self._write()
        except Exception as error:  # predictions are served whatever fails here
            self._fail(error)

    def _write(self) -> None:
        for batch in self._queue.take():
            self._pending.setdefault(batch.key, []).append(batch)
        while self._pending:
            key, batches = next(iter(self._pending.items()))
            for part, record in to_records(key, tuple(batches)):
                if isinstance(record, Exception):
                    self._reject(part, record)
                else:
                    self._files.append(key, record)
                    self._queue.mark(part, written=True)
                del batches[: len(part)]
            del self._pending[key]
        dropped = self._queue.finish()
        if self._problem or dropped > self._reported_rows:
            self._recover(dropped)

    def _reject(self, part: list[ScoredBatch], error: Exception) -> None:
        self._reported_rows += self._queue.mark(part, written=False)
        if str(error) != self._last_rejection:
            LOG.error("Predictions that violate the schema of the log are not logged: %s", error)
        self._last_rejection = str(error)

    def _fail(self, error: Exception) -> None:
        self._retry_at = time.monotonic() + self._retry_seconds
        if self._problem is None:
            LOG.error(
                "Predictions cannot be logged: %s. The service continues; up to %d predictions wait, further ones are "
                "lost. Check free space and permissions of %s.",
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

    def _start_day(self, day: int) -> None:
        if day == self._today:
            return
        self._today = day
        self._files.close(before_day=day)
        if self._keep_days is not None:  # deleting gigabytes takes seconds, for which predictions would wait
            threading.Thread(target=delete_days, args=(self._folder, day - self._keep_days), daemon=True).start()
