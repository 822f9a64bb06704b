"""Micro-batching: requests that arrive while a batch is processed form the next batch.

One thread does all the work on features and model. The thread never waits to fill a batch: a single request is
processed at once, and under load one read of the store and one call of the model serve many requests.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from services.errors import ServiceError
from services.observability.logs import LOG

_MAX_DEFER_SECONDS = 0.005

Job = TypeVar("Job")
Result = TypeVar("Result")


class MicroBatcher(Generic[Job, Result]):
    """Processor of jobs in batches, in a background thread.

    Args:
        process: Returns one result per job, in order; an exception among the results is raised by the ``submit`` of
            its job. A ServiceError that ``process`` raises is raised for all jobs; after any other exception the batch
            is halved until the job that causes it is found.
        deferred: Work that no caller should wait for, called in the same thread: when no job waits, and under load
            every five milliseconds. Directly after a batch it would hold the GIL, which the responses need.
        size: Returns the size of a job.
        max_size: Size at which a batch takes no more jobs; limits memory and the wait of the first job.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Job]], Sequence[Result | Exception]],
        deferred: Callable[[], None],
        size: Callable[[Job], int],
        max_size: int = 2000,
    ) -> None:
        self._process = process
        self._deferred = deferred
        self._size, self._max_size = size, max_size
        self._deferred_until: float | None = None  # when to call ``deferred``; None: no batch since the last call
        self._queue: SimpleQueue[tuple[Job, asyncio.Future[Result]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="scoring", daemon=True)
        self._thread.start()

    async def submit(self, job: Job) -> Result:
        """Process a job in one of the next batches.

        Args:
            job: Job.

        Returns:
            Result of the job.

        Raises:
            Exception: The error of the job or of its batch.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.put((job, future))
        return await future

    def close(self) -> None:
        """Process the waiting jobs, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._next()) is not None:
            batch, size = [first], self._size(first[0])
            last = False
            while size < self._max_size and not last:
                try:
                    waiting = self._queue.get_nowait()
                except Empty:
                    break
                if waiting is None:
                    last = True
                else:
                    batch.append(waiting)
                    size += self._size(waiting[0])
            self._process_batch(batch)
            if last:
                break
        self._run_deferred()

    def _next(self) -> "tuple[Job, asyncio.Future[Result]] | None":
        if self._deferred_until is not None:
            try:
                return self._queue.get(timeout=max(self._deferred_until - time.monotonic(), 0))
            except Empty:
                self._run_deferred()
        return self._queue.get()

    def _run_deferred(self) -> None:
        self._deferred_until = None
        try:
            self._deferred()
        except Exception:
            LOG.exception("Unexpected error while predictions were recorded")

    def _process_batch(self, batch: list[tuple[Job, "asyncio.Future[Result]"]]) -> None:
        batch = [(job, future) for job, future in batch if not future.cancelled()]
        if not batch:
            return
        results = self._process_or_halve([job for job, _ in batch])
        try:
            batch[0][1].get_loop().call_soon_threadsafe(_set_results, batch, results)
        except RuntimeError:  # the event loop has ended: no caller waits
            return
        now = time.monotonic()
        if self._deferred_until is None:
            self._deferred_until = now + _MAX_DEFER_SECONDS
        elif now > self._deferred_until:
            self._run_deferred()

    def _process_or_halve(self, jobs: Sequence[Job]) -> Sequence[Result | Exception]:
        try:
            return self._process(jobs)
        except Exception as error:
            if len(jobs) == 1 or isinstance(error, ServiceError):
                return [error] * len(jobs)
        half = len(jobs) // 2
        return [*self._process_or_halve(jobs[:half]), *self._process_or_halve(jobs[half:])]


def _set_results(batch: list[tuple[Job, "asyncio.Future[Result]"]], results: Sequence[Result | Exception]) -> None:
    for (_, future), result in zip(batch, results, strict=True):
        if future.done():  # cancelled meanwhile
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
