"""Moves the alias ``champion``; nothing else about a version ever changes."""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from feature_repo.errors import HoldfastError
from feature_repo.model_contract import CHAMPION, MODEL_NAME

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the latter for an alias or number nobody has


class UnknownVersionError(HoldfastError):
    """The registry has no such version."""


def get_version(client: MlflowClient, version: str | None) -> ModelVersion:
    """A version by number, or the latest.

    Raises:
        UnknownVersionError: There is none.
    """
    try:
        if version is None:
            versions = client.search_model_versions(f"name = '{MODEL_NAME}'")
            version = str(max(int(item.version) for item in versions))
        return client.get_model_version(MODEL_NAME, version)
    except (MlflowException, ValueError) as error:
        if isinstance(error, MlflowException) and error.error_code not in _ABSENT:
            raise
        raise UnknownVersionError(
            f"{MODEL_NAME} has no version {version or 'at all'}. Run `python -m flows.train` first, or look at the "
            "registry with `mlflow ui`."
        ) from error


def champion_version(client: MlflowClient) -> str | None:
    """The version that ``champion`` names, if any."""
    try:
        return str(client.get_model_version_by_alias(MODEL_NAME, CHAMPION).version)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        return None


def set_champion(client: MlflowClient, version: str) -> None:
    """Move the alias to ``version``."""
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
