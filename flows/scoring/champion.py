"""The champion as the registry holds it, ready to score."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.errors import HoldfastError
from feature_repo.model_contract import CHAMPION, TRUSTED_TYPES, ServedModel
from feature_repo.model_registry import ModelRegistry
from feature_repo.settings import Settings
from flows.scoring.customers import Customers
from flows.training.dataset import TrainingSet
from flows.training.fitting import churn_scores


class OtherInputsError(HoldfastError):
    """The model reads other inputs than the feature service gives."""


@dataclass(frozen=True)
class Champion:
    """The model and what it was trained to read."""

    contract: ServedModel
    classifier: Any

    def score(self, rows: Customers | TrainingSet) -> npt.NDArray[np.float64]:
        """The probability of churn, shape (rows,).

        Raises:
            OtherInputsError: The inputs of the rows are not those of the model.
        """
        if (given := [feature.name for feature in rows.inputs]) != self.contract.inputs:
            raise OtherInputsError(
                f"{self.contract.model_name} version {self.contract.model_version} reads {self.contract.inputs}, the "
                f"feature service gives {given}. Train again with `python -m flows.train`, then promote what it gives."
            )
        return churn_scores(self.classifier, rows.x)


def load_champion(settings: Settings) -> Champion:
    """Read contract and model; a file with types that are not trusted is not loaded.

    Raises:
        NoSuchAliasError: There is no champion.
        NotServableError: It was not registered by ``flows.train``, or its file was changed.
        RegistryUnavailableError: The registry or its files cannot be read.
    """
    from skops.io import loads

    contract, content = ModelRegistry(settings.mlflow_tracking_uri).served(CHAMPION)
    return Champion(contract, loads(content, trusted=TRUSTED_TYPES))
