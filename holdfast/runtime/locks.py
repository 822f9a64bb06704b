"""Lock against concurrent work on the same folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from holdfast.core.errors import HoldfastError


class BusyError(HoldfastError):
    """Another process holds the lock of the folder."""


@contextmanager
def folder_lock(folder: Path, work: str, seconds: float = 0) -> Iterator[None]:
    """Hold the lock of a folder during the block; the lock of a killed process is released.

    Args:
        folder: Folder; created if missing.
        work: Name of the work, and of the lock file.
        seconds: Time to wait for the lock.

    Yields:
        Nothing.

    Raises:
        BusyError: Another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{work}.lock")
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise BusyError(f"Another {work} is running in {folder}. Wait until it has ended.") from None
    try:
        yield
    finally:
        lock.release()
