"""Bytes of a file, which must not change while the source is read."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from holdfast.core.errors import IngestError

_ATTEMPTS = 3
_DOWNLOADS = (".part", ".partial", ".crdownload", ".opdownload", ".filepart", ".aria2")


class FileVersion(NamedTuple):
    """Version of a file.

    Attributes:
        inode: Device and number of the file on it; another one after a replacement.
        size: Size in bytes.
        modified_ns: Time of the last write in nanoseconds.
    """

    inode: tuple[int, int]
    size: int
    modified_ns: int


def read_content(file: Path) -> tuple[bytes, FileVersion]:
    """Read a file; one that changes meanwhile is read again.

    Args:
        file: File.

    Returns:
        Bytes of the file and the version to which they belong.

    Raises:
        IngestError: The file is empty, not readable by this user, or being written.
        OSError: The disk or network failed.
    """
    _require_finished(file)
    for _ in range(_ATTEMPTS):
        try:
            with file.open("rb") as stream:
                before = os.fstat(stream.fileno())
                content = stream.read()
        except PermissionError:
            raise IngestError(f"{file} is not readable by this user. Change its permissions.") from None
        version = _version(file.stat())
        is_whole = version == _version(before) and len(content) == version.size
        if is_whole or not stat.S_ISREG(before.st_mode):
            break
    else:
        raise _is_being_written(file)
    if not content:
        raise IngestError(f"{file} is empty. Check the export that wrote it.")
    return content, version


def require_unchanged(file: Path, version: FileVersion) -> None:
    """Reject a file that changed after it was read, while other files of its source were read.

    Args:
        file: File.
        version: Version that was read.

    Raises:
        IngestError: The file has another version, or none.
    """
    try:
        found = _version(file.stat())
    except FileNotFoundError:
        found = None
    if found != version:
        raise _is_being_written(file)


def _require_finished(file: Path) -> None:
    """Reject a download that is not finished, as its name or a file of the downloading program beside it shows."""
    marks = [file, *(file.with_name(file.name + ending) for ending in _DOWNLOADS)]
    mark = next((mark for mark in marks if mark.name.lower().endswith(_DOWNLOADS) and mark.exists()), None)
    if mark is not None:
        raise IngestError(
            f"{file} is an unfinished download, as the ending of {mark.name} shows. Ingest it when it is complete; if "
            f"it is, {'rename' if mark == file else 'remove'} {mark.name}."
        )


def _version(found: os.stat_result) -> FileVersion:
    return FileVersion((found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)


def _is_being_written(file: Path) -> IngestError:
    return IngestError(
        f"{file} changed while it was read: another program is writing it. Ingest it when that program is done."
    )
