"""Files of the prediction log: whole records are appended, full files are replaced, old days are deleted."""

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from holdfast.core.prediction_log import LogKey, list_day_folders
from services.observability.logs import LOG

_EPOCH = date(1970, 1, 1)
# Purchase counts of customers must not be readable for every user of the machine.
_FILE_MODE, _FOLDER_MODE = 0o640, 0o750


@dataclass
class _File:
    path: Path
    descriptor: int
    size: int = 0  # bytes up to the end of the last whole record


class PredictionFiles:
    """Open files, one per key; not thread-safe.

    Args:
        folder: Folder of the prediction log.
        max_bytes: Size at which a new file is started.
        clock_us: Current time, µs since 1970.
    """

    def __init__(self, folder: Path, max_bytes: int, clock_us: Callable[[], int]) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._stamp = f"{os.getpid()}-{clock_us()}"
        self._number = 0
        self._open: dict[LogKey, _File] = {}

    def append(self, key: LogKey, record: pa.RecordBatch) -> None:
        """Write a record to the operating system, after which the record survives the end of this process.

        Args:
            key: Key of the record.
            record: Record.

        Raises:
            OSError: The record is not in the log; the next record starts a new file.
        """
        data = record.serialize()
        file = self._open.get(key)
        if file is not None and (file.size + data.size > self._max_bytes or _is_deleted(file)):
            self._close(key)
            file = None
        if file is None:
            file = self._open[key] = self._create(key)
            data = record.schema.serialize().to_pybytes() + data.to_pybytes()
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(file.descriptor, left) :]
        except OSError:
            self._abandon(key)
            raise
        file.size += len(memoryview(data))

    def close(self, before_day: int | None = None) -> None:
        """Close files.

        Args:
            before_day: Close only files of days before this one, in days since 1970; None: all.
        """
        for key in list(self._open):
            if before_day is None or key.day < before_day:
                self._close(key)

    def _create(self, key: LogKey) -> _File:
        self._folder.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        day = self._folder / key.folder
        for folder in dict.fromkeys([self._folder / key.date, day]):
            folder.mkdir(_FOLDER_MODE, exist_ok=True)
        while True:
            self._number += 1
            path = day / f"{quote(key.version, safe='')}-{self._stamp}-{self._number}.arrows"
            with contextlib.suppress(FileExistsError):  # a log of this process from the same microsecond
                return _File(path, os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, _FILE_MODE))

    def _close(self, key: LogKey) -> None:
        with contextlib.suppress(OSError):  # all records are written
            os.close(self._open.pop(key).descriptor)

    def _abandon(self, key: LogKey) -> None:
        """Remove a partly written record; if that fails, readers stop before the record."""
        file = self._open[key]
        with contextlib.suppress(OSError):
            if file.size:
                os.ftruncate(file.descriptor, file.size)
            else:
                file.path.unlink()
        self._close(key)


def _is_deleted(file: _File) -> bool:
    return os.fstat(file.descriptor).st_nlink == 0


def delete_days(folder: Path, before_day: int) -> None:
    """Delete old days of the log; a day that cannot be deleted is logged.

    Args:
        folder: Folder of the prediction log.
        before_day: First day that stays, in days since 1970.
    """
    for day, path in list_day_folders(folder):
        if (day - _EPOCH).days < before_day:
            try:
                shutil.rmtree(path)
            except FileNotFoundError:  # another process has deleted it
                continue
            except OSError as error:
                LOG.warning("Predictions of %s are past their retention and cannot be deleted: %s", day, error)
