"""Log of retrainings, one file each, so that limits hold after a killed run."""

from contextlib import AbstractContextManager
from datetime import UTC
from pathlib import Path

from pydantic import ValidationError

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from holdfast.core.errors import HoldfastError
from holdfast.models.declaration import CHURN
from holdfast.retraining.policy import RetrainingAttempt
from holdfast.shared_state.work_locks import work_lock


class BadAttemptError(HoldfastError):
    """File of a retraining that cannot be read."""


def retraining_lock(settings: Settings) -> AbstractContextManager[None]:
    """Return the lock from the decision to its record, so that two runs do not start the same retraining.

    Args:
        settings: Settings with the place of the lock.

    Returns:
        The lock, not acquired.
    """
    return work_lock(settings, "retraining")


def start_attempt(settings: Settings, retraining: RetrainingAttempt) -> RetrainingAttempt:
    """Store the begin of a retraining; a killed one with the same ``as_of`` is resumed.

    Args:
        settings: Settings with the data folder.
        retraining: Retraining to start.

    Returns:
        The resumed or the new retraining.
    """
    path = _path(settings, retraining)
    if path.exists() and (before := _read(path)).status == "begun":
        return before
    save_attempt(settings, retraining)
    return retraining


def save_attempt(settings: Settings, retraining: RetrainingAttempt) -> None:
    """Write a retraining; an earlier file with the same ``as_of`` is replaced.

    Args:
        settings: Settings with the data folder.
        retraining: Retraining to write.
    """
    with replace_file(_path(settings, retraining)) as temporary:
        temporary.write_text(retraining.model_dump_json(indent=2, by_alias=True))


def list_attempts(settings: Settings, model: str = CHURN) -> list[RetrainingAttempt]:
    """List all retrainings of a model, oldest first.

    Args:
        settings: Settings with the data folder.
        model: Name of the model's declaration.

    Returns:
        The retrainings.

    Raises:
        BadAttemptError: A file cannot be read.
    """
    return [_read(path) for path in sorted(_folder(settings, model).glob("*.json"))]


def _read(path: Path) -> RetrainingAttempt:
    try:
        return RetrainingAttempt.model_validate_json(path.read_text())
    except ValidationError as error:
        raise BadAttemptError(
            f"{path} is no record of a retraining: {error.errors()[0]['msg']}. Remove it: that retraining then no "
            "longer counts for the cool-down."
        ) from error


def _path(settings: Settings, retraining: RetrainingAttempt) -> Path:
    return _folder(settings, retraining.model) / f"{retraining.as_of.astimezone(UTC):%Y%m%dT%H%M%S%fZ}.json"


def _folder(settings: Settings, model: str = CHURN) -> Path:
    """Return the folder of a model's records; those of churn had no other model beside them."""
    folder = settings.monitoring / "retrainings"
    return folder if model == CHURN else folder / model
