"""Work that must not be under way twice on the same folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from holdfast.core.errors import HoldfastError


class BusyError(HoldfastError):
    """Another process does the same work in the same folder."""


@contextmanager
def folder_lock(folder: Path, work: str) -> Iterator[None]:
    """Held by the ``work`` under way in ``folder``, which is made; whoever dies lets go.

    Raises:
        BusyError: It is under way already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{work}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"Another {work} is at work in {folder}. Wait for it to end.") from None
    try:
        yield
    finally:
        lock.release()
