"""Challenger and champion, loaded as the service loads them."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from threadpoolctl import threadpool_limits

from feature_repo.settings import Settings
from holdfast.core.types import Floats
from holdfast.model_versions.aliases import get_version
from holdfast.models.loaded_model import LoadedModel, load_model
from holdfast.models.registered_version import RegisteredVersion
from holdfast.models.registry_client import RegistryClient
from holdfast.runtime.run_artifacts import read_file
from holdfast.training.mlflow_tracking import PREDICTIONS_FILE


@dataclass(frozen=True)
class ModelPair:
    """Two models with the same inputs.

    Attributes:
        tried: The challenger.
        champion: The champion.
        tested: Scores of the challenger in its test, shape (rows,); None if they are missing.
    """

    tried: LoadedModel
    champion: LoadedModel
    tested: Floats | None

    def scores(self, x: Floats) -> tuple[Floats, Floats]:
        """What both say of rows of inputs (rows, inputs), each of shape (rows,)."""
        if not len(x):  # scikit-learn scores no empty matrix
            return np.empty(0), np.empty(0)
        with threadpool_limits(limits=1):
            return self.tried.churn_probabilities(x), self.champion.churn_probabilities(x)


def load_pair(client: MlflowClient, settings: Settings, tried: str, champion: str) -> ModelPair:
    """Load both models from the registry.

    Args:
        client: MLflow client.
        settings: Settings with the address of the registry.
        tried: Version of the challenger.
        champion: Version of the champion.

    Returns:
        Both models.

    Raises:
        RegistryError: A version cannot be downloaded.
        UnusableModelError: A model file differs from the registered one.
    """
    return ModelPair(_model(client, settings, tried), _model(client, settings, champion), _tested(client, tried))


def _model(client: MlflowClient, settings: Settings, version: str) -> LoadedModel:
    contract = RegisteredVersion(version, get_version(client, version).tags).contract()
    return load_model(contract, RegistryClient(settings.mlflow_tracking_uri).download_model(contract))


def _tested(client: MlflowClient, version: str) -> Floats | None:
    try:
        content = read_file(client, str(get_version(client, version).run_id), PREDICTIONS_FILE)
    except (MlflowException, OSError):
        return None
    return pd.read_parquet(BytesIO(content))["model"].to_numpy(np.float64)
