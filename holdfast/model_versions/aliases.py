"""The versions of the model and the two aliases that move between them."""

from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.models.registered_version import TRAFFIC_TAG

_NOTHING = (
    f"{MODEL_NAME} has no version {{version}}. Run `python -m flows.train` first, or look at the registry with "
    "`make up`."
)
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the latter for an alias or number nobody has


def is_retryable(error: MlflowException) -> bool:
    """Whether the registry could not answer, and may later: not that it answered that something is not there."""
    return error.error_code not in _ABSENT


class UnknownVersionError(HoldfastError):
    """The registry has no such version."""


def open_registry(settings: Settings) -> MlflowClient:
    """MLflow's client. Nothing is created: where nothing was trained, there is nothing to promote.

    Raises:
        UnknownVersionError: There is no embedded database yet.
    """
    uri = settings.mlflow_tracking_uri
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise UnknownVersionError(_NOTHING.format(version="at all"))
    mlflow.set_tracking_uri(uri)  # a download of models:/ asks this registry, whatever address it is given
    return MlflowClient(uri, registry_uri=uri)


def promotion_lock(settings: Settings) -> FileLock:
    """Held while aliases move, so that what was read of them still holds when they are written."""
    settings.mlflow.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.mlflow / "promotion.lock")


def get_version(client: MlflowClient, version: str | None) -> ModelVersion:
    """A version by number, or the latest.

    Raises:
        UnknownVersionError: There is none.
    """
    try:
        if version is None:
            version = max((str(item.version) for item in list_versions(client)), key=int)
        return client.get_model_version(MODEL_NAME, version)
    except (MlflowException, ValueError) as error:
        if isinstance(error, MlflowException) and is_retryable(error):
            raise
        raise UnknownVersionError(_NOTHING.format(version=version or "at all")) from error


def list_versions(client: MlflowClient) -> list[ModelVersion]:
    """Every version, with its tags."""
    return list(client.search_model_versions(f"name = '{MODEL_NAME}'"))


def get_champion_version(client: MlflowClient) -> str | None:
    """The version that ``champion`` names, if any."""
    return _named(client, CHAMPION)


def get_challenger_version(client: MlflowClient) -> str | None:
    """The version that ``challenger`` names, if any."""
    return _named(client, CHALLENGER)


def set_champion(client: MlflowClient, version: str) -> None:
    """Move ``champion`` to ``version``, which is then no challenger any more."""
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    drop_challenger(client, version)


def set_challenger(client: MlflowClient, version: str) -> None:
    """Move ``challenger`` to ``version``; what it may have had of the traffic as challenger before, it has not now."""
    if get_challenger_version(client) != version:
        client.delete_model_version_tag(MODEL_NAME, version, TRAFFIC_TAG)
    client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version)


def drop_challenger(client: MlflowClient, version: str) -> None:
    """Take ``challenger`` from ``version`` if it has it."""
    if get_challenger_version(client) == version:
        client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)


def _named(client: MlflowClient, alias: str) -> str | None:
    try:
        return str(client.get_model_version_by_alias(MODEL_NAME, alias).version)
    except MlflowException as error:
        if is_retryable(error):
            raise
        return None
