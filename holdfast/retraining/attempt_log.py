"""The retrainings there were, whatever came of them: one file each, so that limits hold though a run was killed."""

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
    """The file of a retraining is not what Holdfast wrote."""


class RetrainingAttempt(BaseModel):
    """A retraining: what for, what prompted it, and what came of it."""

    model_config = ConfigDict(frozen=True)

    as_of: datetime
    begun: datetime
    outcome: Literal["begun", "done", "failed"]
    why: str
    event: str = ""
    subject: str = ""
    version: str = ""


def retraining_lock(settings: Settings) -> FileLock:
    """Held from the decision to its record, so that two runs do not both find that nobody has begun."""
    _folder(settings).mkdir(parents=True, exist_ok=True)
    return FileLock(_folder(settings) / ".lock")


def start_attempt(settings: Settings, retraining: RetrainingAttempt) -> RetrainingAttempt:
    """Keep that it has begun; one as of the same moment that was killed goes on, and began when it did."""
    path = _path(settings, retraining.as_of)
    if path.exists() and (before := _read(path)).outcome == "begun":
        return before
    save_attempt(settings, retraining)
    return retraining


def save_attempt(settings: Settings, retraining: RetrainingAttempt) -> None:
    """Write it; the retraining as of the same moment that was there before is replaced."""
    with replace_file(_path(settings, retraining.as_of)) as temporary:
        temporary.write_text(retraining.model_dump_json(indent=2))


def list_attempts(settings: Settings) -> list[Attempt]:
    """All of them, oldest first.

    Raises:
        BadAttemptError: A file cannot be read back.
    """
    items = [_read(path) for path in sorted(_folder(settings).glob("*.json"))]
    return [Attempt(item.as_of, item.outcome) for item in items]


def _read(path: Path) -> RetrainingAttempt:
    try:
        return RetrainingAttempt.model_validate_json(path.read_text())
    except ValidationError as error:
        raise BadAttemptError(
            f"{path} is no record of a retraining: {error.errors()[0]['msg']}. Remove it: the retraining it was about "
            "then counts no more for the cool-down."
        ) from error


def _path(settings: Settings, as_of: datetime) -> Path:
    return _folder(settings) / f"{as_of.astimezone(UTC):%Y%m%dT%H%M%S%fZ}.json"


def _folder(settings: Settings) -> Path:
    return settings.monitoring / "retrainings"
