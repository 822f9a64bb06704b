"""The challenger and the champion of a rollout, loaded as the service loads them."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.core.threads import limit_threads
from holdfast.core.types import Floats
from holdfast.model_versions.aliases import get_contract, get_version
from holdfast.models.loaded_model import LoadedModel
from holdfast.models.registry_client import RegistryClient
from holdfast.runtime.run_artifacts import read_file
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.mlflow_tracking import PREDICTIONS_FILE


@dataclass(frozen=True)
class ModelPair:
    """Two models of the same inputs.

    Attributes:
        test_scores: Scores of the challenger on its test set, shape (rows,); None if the artifact is missing.
    """

    challenger: LoadedModel
    champion: LoadedModel
    test_scores: Floats | None

    def score(self, x: Floats) -> tuple[Floats, Floats]:
        """Score rows with both models.

        Args:
            x: Inputs, shape (rows, inputs).

        Returns:
            Probabilities of the challenger and of the champion, each of shape (rows,).
        """
        if not len(x):  # scikit-learn does not accept an empty matrix
            return np.empty(0), np.empty(0)
        with limit_threads():
            return self.challenger.churn_probabilities(x), self.champion.churn_probabilities(x)


def load_pair(client: ModelClient, settings: Settings, challenger: str, champion: str) -> ModelPair:
    """Load two versions from the registry.

    Args:
        client: MLflow's client.
        settings: Settings with the tracking URI.
        challenger: Version number.
        champion: Version number.

    Returns:
        The loaded models.

    Raises:
        RegistryError, UnusableModelError: A model cannot be downloaded, or is not the registered one.
    """
    models = RegistryClient(settings.mlflow_tracking_uri)
    return ModelPair(
        models.download_and_load(get_contract(client, challenger)),
        models.download_and_load(get_contract(client, champion)),
        _read_test_scores(client, challenger),
    )


def _read_test_scores(client: ModelClient, version: str) -> Floats | None:
    try:
        content = read_file(client, str(get_version(client, version).run_id), PREDICTIONS_FILE)
    except (MlflowException, OSError):
        return None
    return pd.read_parquet(BytesIO(content))["model"].to_numpy(np.float64)
