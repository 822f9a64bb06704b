"""Versions of the feature definitions that are not registered: errors, and the records of retirements."""

import json
from datetime import datetime
from pathlib import Path

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores.open_store import VERSIONS


class MissingVersionError(HoldfastError):
    """Version of the definitions that is not registered."""


class RetiredVersionError(MissingVersionError):
    """Version of the definitions that was retired."""


def retirements_file(settings: Settings) -> Path:
    """Return the file with the records of retirements, one JSON object per line.

    Args:
        settings: Settings with the data folder.

    Returns:
        Path, which may not exist yet.
    """
    return settings.data / VERSIONS / "retired.jsonl"


def missing_version_error(settings: Settings, version: str) -> MissingVersionError:
    """Describe why a version is missing, and what to do.

    Args:
        settings: Settings with the data folder.
        version: Id of a version that is not registered.

    Returns:
        Error, not raised.
    """
    about = f"Version {version} of the feature definitions"
    file = retirements_file(settings)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    retired = [record for record in map(json.loads, lines) if record["version"] == version]
    advice = (
        "To use its models, check out the code that they were trained with and run `python -m flows.features` there; "
        "otherwise train a new model."
    )
    if retired:
        time = datetime.fromisoformat(retired[-1]["time"])
        return RetiredVersionError(
            f"{about} was retired at {time:%Y-%m-%d %H:%M} UTC, because: {retired[-1]['reason']}. {advice}"
        )
    return MissingVersionError(
        f"{about} is not registered in {settings.data / VERSIONS}: its features were built in another data folder or "
        f"online store. {advice}"
    )
