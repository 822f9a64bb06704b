"""Registered model versions and the aliases champion and challenger."""

from contextlib import AbstractContextManager, suppress

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME, ServedModel
from holdfast.models.declaration import list_models, registered_name
from holdfast.models.promotion_signature import (
    SIGNATURE_TAG,
    ensure_keys,
    note_removed,
    note_signed,
    sign_version,
)
from holdfast.models.registered_version import TRAFFIC_TAG, NotServableError, RegisteredVersion
from holdfast.models.registry_client import NOT_FOUND_CODES
from holdfast.shared_state.work_locks import require_lock, work_lock
from holdfast.training.mlflow_client import UNKNOWN_VERSION, ModelClient, UnknownVersionError, open_registry

_PROMOTION = "promotion"


def is_retryable(error: MlflowException) -> bool:
    """Distinguish an unreachable registry from the response that something does not exist.

    Args:
        error: Exception of MLflow's client.

    Returns:
        True if the same request may succeed later.
    """
    return error.error_code not in NOT_FOUND_CODES


def promotion_lock(settings: Settings) -> AbstractContextManager[None]:
    """Create the lock to hold while aliases are read and moved.

    Args:
        settings: Settings with the place of the lock.

    Returns:
        The lock, not acquired.
    """
    return work_lock(settings, _PROMOTION)


def get_version(client: ModelClient, version: str | None) -> ModelVersion:
    """Get a version by number.

    Args:
        client: MLflow's client.
        version: Version number; None for the latest version.

    Returns:
        The version with its tags.

    Raises:
        UnknownVersionError: There is no such version.
    """
    try:
        if version is None:
            version = max((str(item.version) for item in list_versions(client)), key=int)
        return client.get_model_version(client.model_name, version)
    except (MlflowException, ValueError) as error:
        if isinstance(error, MlflowException) and is_retryable(error):
            raise
        message = UNKNOWN_VERSION.format(model=client.model_name, version=version or "at all")
        raise UnknownVersionError(message) from error


def get_contract(client: ModelClient, version: str) -> ServedModel:
    """Get the contract of a version.

    Args:
        client: MLflow's client.
        version: Version number.

    Returns:
        The contract, with the version number.

    Raises:
        UnknownVersionError: There is no such version.
        NotServableError: The version has no valid contract.
    """
    return RegisteredVersion.from_mlflow(get_version(client, version)).contract()


def resolve_version(client: ModelClient, name: str) -> ModelVersion:
    """Find a version by number or alias.

    Args:
        client: MLflow's client.
        name: Number, ``champion`` or ``challenger``.

    Returns:
        The version with its tags.

    Raises:
        UnknownVersionError: There is no such version.
    """
    number = _get_by_alias(client, name) if name in (CHAMPION, CHALLENGER) else name
    if number is None:
        raise UnknownVersionError(f"{client.model_name} has no {name}. Give the number of a version.")
    return get_version(client, number)


def list_versions(client: ModelClient) -> list[ModelVersion]:
    """List all versions of the model.

    Args:
        client: MLflow's client.

    Returns:
        The versions with their tags, in MLflow's order.
    """
    return list(client.search_model_versions(f"name = '{client.model_name}'"))


def read_contracts(client: ModelClient) -> dict[str, ServedModel]:
    """Read the contract of each version that can be served.

    Args:
        client: MLflow's client.

    Returns:
        Version to its contract.
    """
    contracts = {}
    for version in list_versions(client):
        with suppress(NotServableError):
            contracts[str(version.version)] = RegisteredVersion.from_mlflow(version).contract()
    return contracts


def get_champion_version(client: ModelClient) -> str | None:
    """Get the version of the alias ``champion``.

    Args:
        client: MLflow's client.

    Returns:
        The version number, or None.
    """
    return _get_by_alias(client, CHAMPION)


def find_champion_version(settings: Settings, model_name: str = MODEL_NAME) -> str | None:
    """Find the champion, also before anything was trained.

    Args:
        settings: Settings with the registry.
        model_name: Name of the registered model.

    Returns:
        The version number, or None.
    """
    try:
        return get_champion_version(open_registry(settings, model_name))
    except UnknownVersionError:
        return None


def get_challenger_version(client: ModelClient) -> str | None:
    """Get the version of the alias ``challenger``.

    Args:
        client: MLflow's client.

    Returns:
        The version number, or None.
    """
    return _get_by_alias(client, CHALLENGER)


def set_champion(client: ModelClient, version: str) -> None:
    """Sign a version, move ``champion`` to it, and remove ``challenger`` from that version.

    Args:
        client: MLflow's client.
        version: Version number.

    Raises:
        DamagedMarksError: The times of earlier signatures cannot be read; no alias has moved.
    """
    _sign(client, version, CHAMPION)
    require_lock(_PROMOTION)
    client.set_registered_model_alias(client.model_name, CHAMPION, version)
    _note(client, version, CHAMPION)
    drop_challenger(client, version)


def set_challenger(client: ModelClient, version: str) -> None:
    """Sign a version and move ``challenger`` to it; traffic of an earlier time as challenger is removed.

    Args:
        client: MLflow's client.
        version: Version number.

    Raises:
        DamagedMarksError: The times of earlier signatures cannot be read; no alias has moved.
    """
    if get_challenger_version(client) != version:
        client.delete_model_version_tag(client.model_name, version, TRAFFIC_TAG)
    _sign(client, version, CHALLENGER)
    require_lock(_PROMOTION)
    client.set_registered_model_alias(client.model_name, CHALLENGER, version)
    _note(client, version, CHALLENGER)


def drop_challenger(client: ModelClient, version: str) -> None:
    """Remove ``challenger`` from a version; nothing changes if another version has the alias.

    Args:
        client: MLflow's client.
        version: Version number.
    """
    if get_challenger_version(client) == version:
        require_lock(_PROMOTION)
        client.delete_registered_model_alias(client.model_name, CHALLENGER)
        note_removed(CHALLENGER, client.model_name)


def _sign(client: ModelClient, version: str, alias: str) -> None:
    """Sign a version; every champion, too, when the first key is created, since no version was signed before."""
    keys, is_new = ensure_keys()
    signed = [(client, version, alias)]
    if is_new:
        clients = [ModelClient(str(client.tracking_uri), registered_name(model)) for model in list_models()]
        signed += [(other, champion, CHAMPION) for other in clients if (champion := get_champion_version(other))]
    for other, number, role in signed:
        tags = other.get_model_version(other.model_name, number).tags
        present = _get_by_alias(other, role)
        present_tags = other.get_model_version(other.model_name, present).tags if present else None
        signature = sign_version(keys, number, tags, role, other.model_name, present_tags)
        other.set_model_version_tag(other.model_name, number, SIGNATURE_TAG, signature)


def _note(client: ModelClient, version: str, alias: str) -> None:
    """Remember a signature, after the alias moved: if the run is killed before, the present version stays valid."""
    note_signed(RegisteredVersion.from_mlflow(client.get_model_version(client.model_name, version)), alias)


def _get_by_alias(client: ModelClient, alias: str) -> str | None:
    try:
        return str(client.get_model_version_by_alias(client.model_name, alias).version)
    except MlflowException as error:
        if is_retryable(error):
            raise
        return None
