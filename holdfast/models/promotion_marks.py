"""Time of the newest signature that this data folder has read per alias, so that no older one is accepted again.

An alias that was moved back, together with the tags of that time, has a valid signature. Only a memory outside of the
registry distinguishes it from a rollback, which signs anew.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from holdfast.core.errors import HoldfastError

# A reader may have read the registry just before an alias moved, and look here just after.
_SETTLING = timedelta(seconds=5)
_STEP = timedelta(microseconds=1)


class Mark(NamedTuple):
    """Newest signature of an alias.

    Attributes:
        signed_at: Time in the signature.
        noted_at: Time at which it was first read.
    """

    signed_at: AwareDatetime
    noted_at: AwareDatetime


class DamagedMarksError(HoldfastError):
    """The file of marks cannot be read."""


_Marks = dict[str, Mark]
_READER = TypeAdapter(_Marks)
_remembered: dict[
    Path, _Marks
] = {}  # where the data folder cannot be written, as in a container, this process remembers


def is_replayed(model: str, alias: str, signed_at: datetime, now: datetime | None = None) -> bool:
    """Check whether a newer signature of the alias was read, longer ago than a reader takes.

    Args:
        model: Name of the registered model.
        alias: Alias in the signature.
        signed_at: Time in the signature.
        now: Current time; None: the clock.

    Returns:
        True if the signature must not be accepted.

    Raises:
        DamagedMarksError: The marks cannot be read.
    """
    mark = _read(_file()).get(_key(model, alias))
    if mark is None or signed_at >= mark.signed_at:
        return False
    return (
        not mark.noted_at <= (now or datetime.now(UTC)) <= mark.noted_at + _SETTLING
    )  # also if the clock was set back


def note_signature(model: str, alias: str, signed_at: datetime) -> None:
    """Remember a signature if it is newer than the known one.

    Args:
        model: Name of the registered model.
        alias: Alias in the signature.
        signed_at: Time in the signature.

    Raises:
        DamagedMarksError: The marks cannot be read.
    """
    file, key = _file(), _key(model, alias)
    if (known := _read(file).get(key)) is not None and known.signed_at >= signed_at:
        return
    mark = Mark(signed_at, datetime.now(UTC))
    _remembered.setdefault(file, {})[key] = mark
    with suppress(OSError), _locked(file):  # a full disk must not end the service: the next reader tries again
        marks = _read(file) | {key: mark}
        if _read_stored(file) != marks:
            with replace_file(file) as temporary:
                temporary.write_bytes(_READER.dump_json(marks, indent=1))


def next_time(model: str, alias: str, *others: datetime) -> datetime:
    """Return the time for a new signature: the clock, but later than every known signature of the alias.

    Args:
        model: Name of the registered model.
        alias: Alias to sign for.
        *others: Times of other signatures, such as that of the version with the alias now.

    Returns:
        The time, UTC.

    Raises:
        DamagedMarksError: The marks cannot be read.
    """
    mark = _read(_file()).get(_key(model, alias))
    known = [*others, *([mark.signed_at] if mark else [])]
    return max([datetime.now(UTC), *(time + _STEP for time in known)])


def _file() -> Path:
    return Settings.from_environment().data / "local" / "promotion-marks.json"


def _key(model: str, alias: str) -> str:
    return f"{model} {alias}"


def _read(file: Path) -> _Marks:
    """Return the newest marks of file and process."""
    marks = _read_stored(file)
    for key, mark in _remembered.get(file, {}).items():
        if key not in marks or marks[key].signed_at < mark.signed_at:
            marks[key] = mark
    return marks


def _read_stored(file: Path) -> _Marks:
    try:
        return _READER.validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # a container with the folder of another user
        return {}
    except (OSError, ValidationError) as error:
        raise DamagedMarksError(
            f"{file} cannot be read ({str(error).splitlines()[0]}), so that an old promotion is not distinguished from "
            "a new one. Compare champion and challenger with the last promotions, then delete the file."
        ) from error


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock: two processes that write at the same time lose no mark."""
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
