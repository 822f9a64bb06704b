"""The champion as the registry holds it, ready to score."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.errors import HoldfastError
from feature_repo.model_contract import TRUSTED_TYPES, ServedModel
from feature_repo.settings import Settings
from flows.packaging.champion import champion_from_registry
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
        PackagingError: There is no champion, or it was not registered by ``flows.train``.
        RegistryUnavailableError: The registry or its files cannot be read.
    """
    from skops.io import load

    contract, file = champion_from_registry(settings)
    return Champion(contract, load(file, trusted=TRUSTED_TYPES))
