"""Micro-batching: what arrives while others are being answered is answered together next.

One thread does all the work on features and model. It never waits to fill a batch, so a lone request is answered at
once, and under load one read of the store and one call of the model serve many requests.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from services.errors import ServiceError
from services.observability.logs import LOG

_PUT_OFF_SECONDS = 0.005

Job = TypeVar("Job")
Result = TypeVar("Result")


class MicroBatcher(Generic[Job, Result]):
    """Hands jobs to ``process`` in batches, in a thread of its own.

    Args:
        process: Gives one result per job, in order; a result that is an exception is raised to who submitted the job.
            A ServiceError that it raises concerns all jobs; of another exception, the job that causes it is found.
        after: For what no caller should wait for, in the same thread: called when nothing waits, and where something
            always does, every five milliseconds. Right after a batch it would hold up the interpreter, of which the
            answers on their way out need a share.
        size: The size of a job.
        max_size: A batch that has it gets no more jobs; what waits longer is answered sooner, and memory has a limit.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Job]], Sequence[Result | Exception]],
        after: Callable[[], None],
        size: Callable[[Job], int],
        max_size: int = 2000,
    ) -> None:
        self._process = process
        self._after = after
        self._size, self._max_size = size, max_size
        self._due: float | None = None  # when to call ``after``, if there is a reason to
        self._queue: SimpleQueue[tuple[Job, asyncio.Future[Result]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="scoring", daemon=True)
        self._thread.start()

    async def submit(self, job: Job) -> Result:
        """The result of ``job``."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.put((job, future))
        return await future

    def close(self) -> None:
        """Answer what is waiting, then end the thread."""
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
            self._answer(batch)
            if last:
                break
        self._do_after()

    def _next(self) -> "tuple[Job, asyncio.Future[Result]] | None":
        if self._due is not None:
            try:
                return self._queue.get(timeout=max(self._due - time.monotonic(), 0))
            except Empty:
                self._do_after()
        return self._queue.get()

    def _do_after(self) -> None:
        self._due = None
        try:
            self._after()
        except Exception:
            LOG.exception("Unexpected error after a batch")

    def _answer(self, batch: list[tuple[Job, "asyncio.Future[Result]"]]) -> None:
        batch = [(job, future) for job, future in batch if not future.cancelled()]
        if not batch:
            return
        results = self._results([job for job, _ in batch])
        try:
            batch[0][1].get_loop().call_soon_threadsafe(_deliver, batch, results)
        except RuntimeError:  # the loop has ended: nobody waits any more
            return
        now = time.monotonic()
        if self._due is None:
            self._due = now + _PUT_OFF_SECONDS
        elif now > self._due:
            self._do_after()

    def _results(self, jobs: Sequence[Job]) -> Sequence[Result | Exception]:
        try:
            return self._process(jobs)
        except Exception as error:
            if len(jobs) == 1 or isinstance(error, ServiceError):
                return [error] * len(jobs)
        half = len(jobs) // 2
        return [*self._results(jobs[:half]), *self._results(jobs[half:])]


def _deliver(batch: list[tuple[Job, "asyncio.Future[Result]"]], results: Sequence[Result | Exception]) -> None:
    for (_, future), result in zip(batch, results, strict=True):
        if future.done():  # cancelled meanwhile
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
