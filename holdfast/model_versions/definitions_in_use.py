"""Versions of the feature definitions that registered model versions need."""

import json

from feature_repo.settings import Settings
from holdfast.core.definition_hashes import definitions_version
from holdfast.feature_store import definition_versions
from holdfast.model_versions.aliases import get_challenger_version, get_version, list_versions
from holdfast.model_versions.champion_history import read_champion_history
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME, SERVED_MODEL_TAG
from holdfast.models.registered_version import NoSuchAliasError, NotServableError, RegistryUnavailableError
from holdfast.models.registry_client import RegistryClient, fail_fast_env
from holdfast.training.mlflow_client import ModelClient


def find_definitions(client: ModelClient, version: str) -> str | None:
    """Find the version of the feature definitions that a model version reads.

    Args:
        client: MLflow's client.
        version: Number of the model version.

    Returns:
        Id of the definitions; None where the model version has no contract.

    Raises:
        UnknownVersionError: There is no such model version.
    """
    contract = get_version(client, version).tags.get(SERVED_MODEL_TAG)
    return definitions_version(json.loads(contract)["fingerprint"]) if contract else None


def find_needed_definitions(client: ModelClient) -> dict[str, list[str]]:
    """Find the versions of the feature definitions that must be built each day.

    Champion, challenger and rollback target serve or may serve at any time; the newest model version may be waiting for
    its approval.

    Args:
        client: MLflow's client.

    Returns:
        Id of the definitions to the model versions that need it, such as "champion 7"; that of another model than churn
        with the name of the model.
    """
    history = read_champion_history(client)
    numbers = [int(item.version) for item in list_versions(client)]
    roles = {
        CHAMPION: history.champion,
        CHALLENGER: get_challenger_version(client),
        "rollback target": history.rollback_target(),
        "newest version": str(max(numbers)) if numbers else None,
    }
    needed: dict[str, list[str]] = {}
    prefix = "" if client.model_name == MODEL_NAME else f"{client.model_name} "
    for role, version in roles.items():
        if version is not None and (definitions := find_definitions(client, version)):
            needed.setdefault(definitions, []).append(f"{prefix}{role} {version}")
    return needed


def list_served_definitions(settings: Settings) -> list[str]:
    """List the versions of the feature definitions that the champion and the challenger need.

    Args:
        settings: Settings with the data folder and the registry's URL.

    Returns:
        Ids, that of the champion first. Where no champion can be read from the registry: all registered versions.
    """
    try:
        with fail_fast_env():
            needed = [_find_by_alias(settings, alias) for alias in (CHAMPION, CHALLENGER)]
    except RegistryUnavailableError:
        return definition_versions.list_versions(settings)
    if needed[0] is None:
        return definition_versions.list_versions(settings)
    return list(dict.fromkeys(version for version in needed if version is not None))


def _find_by_alias(settings: Settings, alias: str) -> str | None:
    try:
        return RegistryClient(settings.mlflow_tracking_uri).get_by_alias(alias).contract().definitions
    except (NoSuchAliasError, NotServableError):
        return None
