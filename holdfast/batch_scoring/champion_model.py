"""The champion as the registry holds it, ready to score."""

from collections.abc import Sequence
from dataclasses import dataclass

from threadpoolctl import threadpool_limits

from feature_repo.settings import Settings
from holdfast.batch_scoring.population import ScoringPopulation
from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.feast_stores.open_store import open_store
from holdfast.models.contract import CHAMPION, ServedModel, differing_definitions, model_inputs
from holdfast.models.contributions import NotAdditiveError
from holdfast.models.loaded_model import LoadedModel, load_model
from holdfast.models.reason_codes import ReasonCode, select_reasons
from holdfast.models.registry_client import RegistryClient
from holdfast.training.dataset import TrainingSet


class InputMismatchError(HoldfastError):
    """The model reads other inputs than the feature service gives."""


class DefinitionMismatchError(HoldfastError):
    """The model was trained on other definitions than those in the registry."""


@dataclass(frozen=True)
class ScoringModel:
    """The model as the service loads it: what it says of a row has the same bits here and there."""

    model: LoadedModel

    @property
    def contract(self) -> ServedModel:
        """What it was trained to read, and how it decides."""
        return self.model.contract

    def score(self, rows: ScoringPopulation | TrainingSet) -> Floats:
        """The probability of churn, shape (rows,).

        Raises:
            InputMismatchError: The inputs of the rows are not those of the model.
        """
        if (given := [feature.name for feature in rows.inputs]) != self.contract.inputs:
            raise InputMismatchError(
                f"{self.contract.model_name} version {self.contract.model_version} reads {self.contract.inputs}, the "
                f"feature service gives {given}. Train again with `python -m flows.train`, then promote what it gives."
            )
        with threadpool_limits(limits=1):
            return self.model.churn_probabilities(rows.x)

    def reasons(self, rows: ScoringPopulation) -> Sequence[list[ReasonCode] | None]:
        """Why, one list per row, strongest first; None of each where the model is no sum over its inputs."""
        if not len(rows.x):
            return []
        try:
            with threadpool_limits(limits=1):
                parts = self.model.contributions(rows.x)
        except NotAdditiveError:
            return [None] * len(rows.x)
        names = self.contract.inputs
        return [select_reasons(names, *row) for row in zip(rows.x.tolist(), parts.values.tolist(), strict=True)]


def load_champion(settings: Settings) -> ScoringModel:
    """Read contract and model; a file with types that are not trusted is not loaded.

    Raises:
        NoSuchAliasError: There is no champion.
        NotServableError: It was not registered by ``flows.train``, or its file was changed.
        UnusableModelError: It does not score here as it did in training.
        RegistryUnavailableError: The registry or its files cannot be read.
    """
    return ScoringModel(load_model(*RegistryClient(settings.mlflow_tracking_uri).download_by_alias(CHAMPION)))


def require_matching_definitions(champion: ScoringModel) -> None:
    """Its features are those that Feast's registry defines now, which the service asks for, too.

    Raises:
        DefinitionMismatchError: They are not; it names the parts that differ.
    """
    store = open_store()
    inputs = [feature.name for feature in model_inputs(store)]
    if parts := differing_definitions(store, champion.contract, inputs):
        raise DefinitionMismatchError(
            f"The champion, version {champion.contract.model_version}, was trained on other definitions than those in "
            f"use: {', '.join(parts)} differ. Its scores would be wrong, so there are none. Train and promote a "
            "version on these definitions (`python -m flows.train`, `python -m flows.promote`), or go back to the code "
            "that it was trained with."
        )
