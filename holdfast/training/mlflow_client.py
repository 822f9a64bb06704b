"""MLflow's own client, for flows: runs, versions and aliases. ``registry_client`` reads models, for services too."""

import mlflow
from mlflow import MlflowClient

from feature_repo.database_urls import sqlite_path
from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.models.contract import MODEL_NAME
from holdfast.shared_state.work_locks import work_lock

EXPERIMENT = MODEL_NAME
UNKNOWN_VERSION = (
    "{model} has no version {version}. Run `python -m flows.train` first, or open the registry with `make up`."
)


class UnknownVersionError(HoldfastError):
    """A version that the registry does not have."""


class ModelClient(MlflowClient):
    """MLflow's client, bound to one registered model: versions and aliases are those of the model.

    Args:
        uri: Tracking URI, also of the registry.
        model_name: Name of the registered model, which is also that of its experiment.
    """

    def __init__(self, uri: str, model_name: str = MODEL_NAME) -> None:
        super().__init__(uri, registry_uri=uri)
        self.model_name = model_name


def open_registry(settings: Settings, model_name: str = MODEL_NAME) -> ModelClient:
    """Open MLflow's client of an existing registry; nothing is created.

    Args:
        settings: Settings with the tracking URI.
        model_name: Name of the registered model.

    Returns:
        The client.

    Raises:
        UnknownVersionError: There is no embedded database yet.
    """
    uri = settings.mlflow_tracking_uri
    if (database := sqlite_path(uri)) is not None and not database.is_file():
        raise UnknownVersionError(UNKNOWN_VERSION.format(model=model_name, version="at all"))
    return _connect(uri, model_name)


def open_tracking(settings: Settings, model_name: str = MODEL_NAME) -> ModelClient:
    """Open MLflow's client; the first use creates the embedded database and the experiment, which becomes active.

    A lock allows one process at a time: MLflow's migrations fail when two processes create the database together.

    Args:
        settings: Settings with the tracking URI and the data folder.
        model_name: Name of the registered model.

    Returns:
        The client.
    """
    uri = settings.mlflow_tracking_uri
    settings.mlflow.mkdir(parents=True, exist_ok=True)
    with work_lock(settings, "mlflow-setup"):
        client = _connect(uri, model_name)
        if client.get_experiment_by_name(model_name) is None:
            artifacts = (settings.mlflow / "artifacts").as_uri() if sqlite_path(uri) else None
            client.create_experiment(model_name, artifact_location=artifacts)
    mlflow.set_experiment(model_name)
    return client


def _connect(uri: str, model_name: str) -> ModelClient:
    mlflow.set_tracking_uri(uri)  # of the process, for MLflow's functions without a client
    return ModelClient(uri, model_name)
