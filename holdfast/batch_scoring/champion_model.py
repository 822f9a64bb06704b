"""Champion loaded from the registry for batch scoring."""

from collections.abc import Sequence
from dataclasses import dataclass

from feature_repo.settings import Settings
from holdfast.batch_scoring.population import ScoringPopulation
from holdfast.core.errors import HoldfastError
from holdfast.core.threads import limit_threads
from holdfast.core.types import Floats
from holdfast.models.contract import CHAMPION, ServedModel
from holdfast.models.contributions import NotAdditiveError
from holdfast.models.declaration import model_option
from holdfast.models.loaded_model import LoadedModel, load_verified_model
from holdfast.models.reason_codes import ReasonCode, select_reasons
from holdfast.models.registry_client import RegistryClient
from holdfast.training.dataset import TrainingSet


class InputMismatchError(HoldfastError):
    """Model inputs that differ from the inputs of the feature service."""


def require_inputs(contract: ServedModel, rows: ScoringPopulation | TrainingSet) -> None:
    """Require that rows have the inputs of a model.

    Args:
        contract: Contract of the model version.
        rows: Customers with model inputs.

    Raises:
        InputMismatchError: The inputs of the rows differ from the inputs of the model.
    """
    if (given := [feature.name for feature in rows.inputs]) != contract.inputs:
        raise InputMismatchError(
            f"{contract.model_name} version {contract.model_version} reads {contract.inputs}, its feature service "
            f"gives {given}. Train again with `python -m flows.train{model_option(contract.model_name)}`, then promote "
            "that version."
        )


@dataclass(frozen=True)
class ScoringModel:
    """Loaded model version; its scores equal those of the service bit for bit."""

    model: LoadedModel

    @property
    def contract(self) -> ServedModel:
        """Return the contract: inputs, threshold and definitions of the model."""
        return self.model.contract

    def score(self, rows: ScoringPopulation | TrainingSet) -> Floats:
        """Compute churn probabilities.

        Args:
            rows: Customers with model inputs, ``x`` of shape (rows, inputs).

        Returns:
            Probabilities, shape (rows,).

        Raises:
            InputMismatchError: The inputs of the rows differ from the inputs of the model.
        """
        require_inputs(self.contract, rows)
        with limit_threads():
            return self.model.churn_probabilities(rows.x)

    def reasons(self, rows: ScoringPopulation) -> Sequence[list[ReasonCode] | None]:
        """Select reason codes, strongest first.

        Args:
            rows: Customers with model inputs, ``x`` of shape (rows, inputs).

        Returns:
            One list per row; None per row for a model that is not additive.
        """
        if not len(rows.x):
            return []
        try:
            with limit_threads():
                parts = self.model.contributions(rows.x)
        except NotAdditiveError:
            return [None] * len(rows.x)
        names, categories = self.contract.inputs, self.contract.categories
        return [
            select_reasons(names, *row, categories=categories)
            for row in zip(rows.x.tolist(), parts.values.tolist(), strict=True)
        ]


def load_champion(settings: Settings) -> ScoringModel:
    """Load contract and model of the champion; a file with untrusted types is not loaded.

    Args:
        settings: Settings with the address of the registry.

    Returns:
        The champion.

    Raises:
        NoSuchAliasError: There is no champion.
        NotServableError: The version was not registered by ``flows.train``, or its file was changed.
        UnusableModelError: The model does not reproduce the example scores of its training.
        RegistryUnavailableError: The registry or its files cannot be read.
    """
    return ScoringModel(load_verified_model(*RegistryClient(settings.mlflow_tracking_uri).download_by_alias(CHAMPION)))
