"""The challenger and the champion of a rollout, loaded as the service loads them."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.core.threads import limit_threads
from holdfast.core.types import Floats
from holdfast.feature_store.definition_versions import open_version
from holdfast.model_versions.aliases import get_contract, get_version
from holdfast.models.loaded_version import LoadedVersion
from holdfast.models.registry_client import RegistryClient
from holdfast.online_features.reader import OnlineReader
from holdfast.online_features.value_decoder import Fault
from holdfast.rollout.challenger_predictions import ChallengerPredictions
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.mlflow_tracking import PREDICTIONS_FILE
from holdfast.training.run_artifacts import read_file

_READ_ROWS = 2_000  # a read of the store has a time limit


class ChampionInputsError(HoldfastError):
    """The features of the champion cannot be read: its scores of the challenger's customers are unknown."""


@dataclass(frozen=True)
class ModelPair:
    """Two models of a rollout.

    Attributes:
        test_scores: Predictions of the challenger on its test set, shape (rows,); None if the artifact is missing.
        champion_reader: Reader of the champion's inputs if it is on another version of the feature definitions; None
            if the inputs of the challenger are also those of the champion.
    """

    challenger: LoadedVersion
    champion: LoadedVersion
    test_scores: Floats | None
    champion_reader: OnlineReader | None = None

    def score(self, predictions: ChallengerPredictions) -> tuple[Floats, Floats]:
        """Score the customers of the challenger with both models, each with its own inputs.

        Args:
            predictions: Predictions of the challenger.

        Returns:
            Predictions of the challenger and of the champion, each of shape (customers,); NaN where a model has none,
            and for a customer without features that the champion can score.

        Raises:
            ChampionInputsError: The champion's features cannot be read.
        """
        if not len(predictions.x):  # scikit-learn does not accept an empty matrix
            return np.empty(0), np.empty(0)
        with limit_threads():
            own = self.challenger.predict(predictions.x)
            if self.champion_reader is None:
                return own, self.champion.predict(predictions.x)
            return own, self._score_own_inputs(self.champion_reader, predictions)

    def _score_own_inputs(self, reader: OnlineReader, predictions: ChallengerPredictions) -> Floats:
        parts: list[Floats] = []
        for start in range(0, len(predictions.customer_ids), _READ_ROWS):
            rows = slice(start, start + _READ_ROWS)
            try:
                features = reader.read(predictions.customer_ids[rows], predictions.as_of_us[rows])
            except Exception as error:  # the errors of a store are those of its client
                raise ChampionInputsError(f"the champion's features cannot be read: {error}") from error
            scores = np.full(len(features.customer_ids), np.nan)
            usable = (features.faults == Fault.NONE).all(axis=1)
            if usable.any():
                scores[usable] = self.champion.predict(features.inputs[usable])
            parts.append(scores)
        return np.concatenate(parts)


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
        MissingVersionError: The champion's feature definitions are not registered.
    """
    models = RegistryClient(settings.mlflow_tracking_uri, client.model_name)
    contract, champion_contract = get_contract(client, challenger), get_contract(client, champion)
    reader = None
    if contract.definitions != champion_contract.definitions:
        reader = OnlineReader(open_version(settings, champion_contract.definitions), FEATURE_SERVICE)
    return ModelPair(
        models.download_and_load(contract),
        models.download_and_load(champion_contract),
        _read_test_scores(client, challenger),
        reader,
    )


def _read_test_scores(client: ModelClient, version: str) -> Floats | None:
    try:
        content = read_file(client, str(get_version(client, version).run_id), PREDICTIONS_FILE)
    except (MlflowException, OSError):
        return None
    return pd.read_parquet(BytesIO(content))["model"].to_numpy(np.float64)
