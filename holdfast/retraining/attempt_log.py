"""Log of retrainings, one file each, so that limits hold after a killed run."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from holdfast.core.errors import HoldfastError
from holdfast.retraining.policy import Attempt


class BadAttemptError(HoldfastError):
    """File of a retraining that cannot be read."""


class RetrainingAttempt(BaseModel):
    """Retraining with its reason, the event that started it, and its outcome."""

    model_config = ConfigDict(frozen=True)

    as_of: datetime
    begun: datetime
    outcome: Literal["begun", "done", "failed"]
    why: str
    event: str = ""
    subject: str = ""
    version: str = ""


def retraining_lock(settings: Settings) -> FileLock:
    """Return the lock from the decision to its record, so that two runs do not start the same retraining.

    Args:
        settings: Settings with the data folder, which is created.

    Returns:
        The lock, not acquired.
    """
    _folder(settings).mkdir(parents=True, exist_ok=True)
    return FileLock(_folder(settings) / ".lock")


def start_attempt(settings: Settings, retraining: RetrainingAttempt) -> RetrainingAttempt:
    """Store the begin of a retraining; a killed one with the same ``as_of`` is resumed.

    Args:
        settings: Settings with the data folder.
        retraining: Retraining to start.

    Returns:
        The resumed or the new retraining.
    """
    path = _path(settings, retraining.as_of)
    if path.exists() and (before := _read(path)).outcome == "begun":
        return before
    save_attempt(settings, retraining)
    return retraining


def save_attempt(settings: Settings, retraining: RetrainingAttempt) -> None:
    """Write a retraining; an earlier file with the same ``as_of`` is replaced.

    Args:
        settings: Settings with the data folder.
        retraining: Retraining to write.
    """
    with replace_file(_path(settings, retraining.as_of)) as temporary:
        temporary.write_text(retraining.model_dump_json(indent=2))


def list_attempts(settings: Settings) -> list[Attempt]:
    """List all retrainings, oldest first.

    Args:
        settings: Settings with the data folder.

    Returns:
        The retrainings.

    Raises:
        BadAttemptError: A file cannot be read.
    """
    items = [_read(path) for path in sorted(_folder(settings).glob("*.json"))]
    return [Attempt(item.as_of, item.outcome) for item in items]


def _read(path: Path) -> RetrainingAttempt:
    try:
        return RetrainingAttempt.model_validate_json(path.read_text())
    except ValidationError as error:
        raise BadAttemptError(
            f"{path} is no record of a retraining: {error.errors()[0]['msg']}. Remove it: that retraining then no "
            "longer counts for the cool-down."
        ) from error


def _path(settings: Settings, as_of: datetime) -> Path:
    return _folder(settings) / f"{as_of.astimezone(UTC):%Y%m%dT%H%M%S%fZ}.json"


def _folder(settings: Settings) -> Path:
    return settings.monitoring / "retrainings"
