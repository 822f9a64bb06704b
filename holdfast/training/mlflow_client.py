"""MLflow's own client, for flows: runs, versions and aliases. ``registry_client`` reads models, for services too."""

import mlflow
from filelock import FileLock
from mlflow import MlflowClient

from feature_repo.database_urls import sqlite_path
from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.models.contract import MODEL_NAME

EXPERIMENT = "holdfast-churn"
UNKNOWN_VERSION = (
    f"{MODEL_NAME} has no version {{version}}. Run `python -m flows.train` first, or open the registry with `make up`."
)


class UnknownVersionError(HoldfastError):
    """A version that the registry does not have."""


def open_registry(settings: Settings) -> MlflowClient:
    """Open MLflow's client of an existing registry; nothing is created.

    Args:
        settings: Settings with the tracking URI.

    Returns:
        The client.

    Raises:
        UnknownVersionError: There is no embedded database yet.
    """
    uri = settings.mlflow_tracking_uri
    if (database := sqlite_path(uri)) is not None and not database.is_file():
        raise UnknownVersionError(UNKNOWN_VERSION.format(version="at all"))
    return _connect(uri)


def open_tracking(settings: Settings) -> MlflowClient:
    """Open MLflow's client; the first use creates the embedded database and the experiment, which becomes active.

    A lock allows one process at a time: MLflow's migrations fail when two processes create the database together.

    Args:
        settings: Settings with the tracking URI and the data folder.

    Returns:
        The client.
    """
    uri = settings.mlflow_tracking_uri
    settings.mlflow.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.mlflow / "setup.lock"):
        client = _connect(uri)
        if client.get_experiment_by_name(EXPERIMENT) is None:
            artifacts = (settings.mlflow / "artifacts").as_uri() if sqlite_path(uri) else None
            client.create_experiment(EXPERIMENT, artifact_location=artifacts)
    mlflow.set_experiment(EXPERIMENT)
    return client


def _connect(uri: str) -> MlflowClient:
    mlflow.set_tracking_uri(uri)  # of the process, for MLflow's functions without a client
    return MlflowClient(uri, registry_uri=uri)
