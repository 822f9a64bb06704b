"""Signatures of the versions that the aliases champion and challenger may name.

The registry is a database that more people and programs can write than may promote a version. Flows sign a statement
about a version (number, alias, digests of contract and promotion record, gates, approval, time) with a key that is in
no registry, and a service follows an alias only to a version with a valid signature, which is not older than one that
it has read. Without a file of keys, as before the first promotion, there are no signatures and none is required, except
in a container that follows a registry.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_repo.settings import EnvironmentSettings, Settings
from holdfast.core.secret_files import SecretFileError, ensure_secret_file, read_secret_file
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME, SERVED_MODEL_TAG
from holdfast.models.promotion_marks import DamagedMarksError, is_replayed, next_time, note_signature
from holdfast.models.registered_version import NotServableError, RegisteredVersion

SIGNATURE_TAG = "holdfast.signature"
_PROMOTION_TAG, _GATES_TAG, _APPROVAL_TAG = "holdfast.promotion", "holdfast.gates", "holdfast.approval"
_TRAINER_TAG = "holdfast.trained_by"
_AGAIN = "Promote it with `python -m flows.promote` or `python -m flows.rollback`, which sign it."


class UnsignedVersionError(NotServableError):
    """Version that an alias names, but that no holder of a key has promoted."""


class PromotionKeySettings(EnvironmentSettings):
    """Keys that sign promotions."""

    promotion_keys_file: Path | None = Field(
        default=None,
        description="File with the keys that sign the champion and the challenger, one per line, the newest first; a "
        "service that reads it follows no alias to another version. Default: local/promotion-keys in the data folder, "
        "created with the first signature.",
    )


class _Signature(BaseModel):
    """Content of the tag: the statement as text, and its HMAC-SHA256 by a key."""

    model_config = ConfigDict(frozen=True)

    statement: str
    key: str
    digest: str

    @property
    def facts(self) -> dict[str, Any]:
        """Return the statement; only that of a valid signature is one of the flows."""
        facts: dict[str, Any] = json.loads(self.statement)
        return facts

    @property
    def time(self) -> datetime:
        """Return the time of the signature, UTC."""
        return datetime.fromisoformat(self.facts["signed_at"])


def ensure_keys() -> tuple[list[str], bool]:
    """Read the keys, and create one if there is none.

    Returns:
        The keys, the newest first, and True if the key is new.
    """
    file, _ = _keys_file()
    is_new = not file.exists()
    ensure_secret_file(file)
    return _read(file), is_new


def sign_version(
    keys: Sequence[str],
    number: str,
    tags: Mapping[str, str],
    alias: str,
    model_name: str = MODEL_NAME,
    present: Mapping[str, str] | None = None,
) -> str:
    """Sign a version with the newest key, later than every known signature of the alias.

    Args:
        keys: Keys, the newest first.
        number: Version number.
        tags: Tags of the version.
        alias: Alias that the version may have; a champion may be challenger, too.
        model_name: Name of the registered model.
        present: Tags of the version that has the alias now; None without one.

    Returns:
        Value of ``SIGNATURE_TAG``.

    Raises:
        DamagedMarksError: The times of earlier signatures cannot be read.
    """
    facts = {
        "model": model_name,
        "version": number,
        "alias": alias,
        **_digests(tags),
        "gates": _part(tags, _GATES_TAG, ("key", "verdict", "champion", "when")),
        "approval": _part(tags, _APPROVAL_TAG, ("status", "who", "proof", "when", "gates")),
        "trained_by": tags.get(_TRAINER_TAG),
        "signed_at": next_time(model_name, alias, *_signature_times(keys, present or {})).isoformat(),
    }
    statement = json.dumps(facts, sort_keys=True)
    digest = _digest(keys[0], statement)
    return _Signature(statement=statement, key=_key_id(keys[0]), digest=digest).model_dump_json()


def require_signed(version: RegisteredVersion, alias: str) -> None:
    """Check the signature of a version that an alias names.

    Args:
        version: The version.
        alias: The alias.

    Raises:
        UnsignedVersionError: There are keys, and the version has no valid signature for the alias, or one older than
            another that was read, or its contract or its promotion record were changed since; or the keys cannot be
            read, or a container that follows a registry has none.
    """
    about = f"Version {version.number} of {version.model_name}, which the registry names as {alias},"
    file, is_required = _keys_file()
    if not is_required and not file.exists():
        _refuse_in_container(about)
        return
    try:
        keys = _read(file)
    except SecretFileError as error:
        raise UnsignedVersionError(f"{about} cannot be verified: {error}") from error
    try:
        signature = _Signature.model_validate_json(version.tags.get(SIGNATURE_TAG, ""))
    except ValidationError:
        raise UnsignedVersionError(f"{about} has no signature: the alias was moved by other means. {_AGAIN}") from None
    if not _is_valid(keys, signature):
        raise UnsignedVersionError(f"{about} is not signed by a key of {file}. {_AGAIN}")
    facts = signature.facts
    if (facts.get("model"), facts.get("version")) != (version.model_name, version.number):
        raise UnsignedVersionError(f"{about} has the signature of another version. {_AGAIN}")
    if facts.get("alias") not in (alias, CHAMPION) or alias not in (CHAMPION, CHALLENGER):
        raise UnsignedVersionError(f"{about} is signed as {facts.get('alias')} only. {_AGAIN}")
    changed = [name for name, digest in _digests(version.tags).items() if facts.get(name) != digest]
    if changed and not (changed == ["promotion"] and alias == CHALLENGER):
        raise UnsignedVersionError(f"{about} was changed since it was signed: {', '.join(changed)}. {_AGAIN}")
    try:
        if is_replayed(version.model_name, facts["alias"], signature.time):
            raise UnsignedVersionError(
                f"{about} has a signature of {signature.time:%Y-%m-%d %H:%M:%S}, but a newer one was found: an earlier "
                f"state of the registry was restored. {_AGAIN}"
            )
        if facts["alias"] == alias:
            note_signature(version.model_name, alias, signature.time)
    except DamagedMarksError as error:
        raise UnsignedVersionError(f"{about} cannot be verified: {error}") from error


def note_signed(version: RegisteredVersion, alias: str) -> None:
    """Remember a version that has an alias now: from here on no older signature of the alias is accepted.

    Args:
        version: Version that was signed and has the alias.
        alias: The alias.

    Raises:
        DamagedMarksError: The times of earlier signatures cannot be read.
    """
    note_signature(version.model_name, alias, _Signature.model_validate_json(version.tags[SIGNATURE_TAG]).time)


def note_removed(alias: str, model_name: str = MODEL_NAME) -> None:
    """Remember that an alias was removed: no signature of before is accepted.

    Args:
        alias: The alias.
        model_name: Name of the registered model.

    Raises:
        DamagedMarksError: The times of earlier signatures cannot be read.
    """
    note_signature(model_name, alias, next_time(model_name, alias))


def _refuse_in_container(about: str) -> None:
    """Refuse a version where no file of keys exists, although a container follows a registry.

    The data folder of a container is not that of the flows, so that a missing file means a missing setting there.
    """
    if os.environ.get("BENTOML_CONTAINERIZED") == "true" and os.environ.get("MLFLOW_TRACKING_URI"):
        raise UnsignedVersionError(
            f"{about} cannot be verified: this container has no keys. Mount a copy of the flows' file of keys, and set "
            f"{PromotionKeySettings.variable('promotion_keys_file')}. Until then the model in the image is served."
        )


def _keys_file() -> tuple[Path, bool]:
    """Return the file of keys, and True if a setting names it."""
    file = PromotionKeySettings.from_environment().promotion_keys_file
    if file is not None:
        return file.expanduser(), True
    return Settings.from_environment().data / "local" / "promotion-keys", False


def _read(file: Path) -> list[str]:
    keys = [
        line
        for text in read_secret_file(file, group_reads=True).splitlines()
        if (line := text.partition("#")[0].strip())
    ]
    if not keys:
        raise SecretFileError(f"{file} contains no key.")
    return keys


def _digests(tags: Mapping[str, str]) -> dict[str, str]:
    return {
        "contract": hashlib.sha256(tags.get(SERVED_MODEL_TAG, "").encode()).hexdigest(),
        "promotion": hashlib.sha256(tags.get(_PROMOTION_TAG, "").encode()).hexdigest(),
    }


def _is_valid(keys: Sequence[str], signature: _Signature) -> bool:
    return any(hmac.compare_digest(_digest(key, signature.statement), signature.digest) for key in keys)


def _signature_times(keys: Sequence[str], tags: Mapping[str, str]) -> list[datetime]:
    """Return the time of the signature in tags, if it is valid."""
    try:
        signature = _Signature.model_validate_json(tags.get(SIGNATURE_TAG, ""))
    except ValidationError:
        return []
    return [signature.time] if _is_valid(keys, signature) else []


def _part(tags: Mapping[str, str], tag: str, fields: Sequence[str]) -> dict[str, Any] | None:
    try:
        record = json.loads(tags[tag])
        return {name: record.get(name) for name in fields}
    except (KeyError, ValueError, AttributeError):
        return None


def _digest(key: str, statement: str) -> str:
    return hmac.new(key.encode(), statement.encode(), hashlib.sha256).hexdigest()


def _key_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]
