"""Spend model beside the champion: a problem of one model never affects the scores of the other."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from feature_repo.settings import Settings
from holdfast.batch_scoring.champion_model import InputMismatchError, require_inputs
from holdfast.batch_scoring.population import ScoringPopulation, load_all_customers
from holdfast.core.threads import limit_threads
from holdfast.core.types import Floats
from holdfast.models.contract import CHAMPION, ServedModel
from holdfast.models.declaration import registered_name
from holdfast.models.loaded_regressor import LoadedRegressor, load_verified_regressor
from holdfast.models.registered_version import NoSuchAliasError
from holdfast.models.registry_client import RegistryClient

SPEND: Final = "spend"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpendModel:
    """Champion of the spend model, or the reason why there is none.

    Attributes:
        model: The loaded champion; None without one, or with a ``problem``.
        problem: Why the champion cannot be used; empty without a champion.
    """

    model: LoadedRegressor | None = None
    problem: str = ""

    @property
    def contract(self) -> ServedModel | None:
        """Return the contract, None without a usable model."""
        return self.model.contract if self.model else None

    @property
    def version(self) -> str | None:
        """Return the version, None without a usable one."""
        return self.model.contract.model_version if self.model else None


NO_SPEND_MODEL = SpendModel()


def load_spend_model(settings: Settings) -> SpendModel:
    """Load the champion of the spend model; no error is raised.

    Args:
        settings: Settings with the address of the registry.

    Returns:
        The model, or the reason why there is none.
    """
    try:
        client = RegistryClient(settings.mlflow_tracking_uri, registered_name(SPEND))
        return SpendModel(load_verified_regressor(*client.download_by_alias(CHAMPION)))
    except NoSuchAliasError:
        return NO_SPEND_MODEL
    except Exception as error:
        return _with_problem(NO_SPEND_MODEL, error)


def predict_spend(
    settings: Settings, spend: SpendModel, customers: ScoringPopulation, definitions: str, known_at: datetime
) -> tuple[SpendModel, Floats]:
    """Compute the expected spend of customers; no error is raised.

    Args:
        settings: Settings with the data folder.
        spend: The spend model.
        customers: Customers with the inputs of the champion, which are read again only for other definitions.
        definitions: Version of the feature definitions of these inputs.
        known_at: Arrival time up to which data count.

    Returns:
        The model, or the reason why it cannot be used; expected spend, shape (customers,), NaN where it is unknown.
    """
    unknown = np.full(len(customers.ids), np.nan)
    if spend.model is None:
        return spend, unknown
    try:
        contract, rows = spend.model.contract, customers
        if contract.definitions != definitions:
            rows = load_all_customers(settings, contract.definitions, customers.as_of, known_at)
        require_inputs(contract, rows)
        if rows.ids != customers.ids:
            raise InputMismatchError(
                f"{contract.model_name} version {contract.model_version} has features of other customers than the "
                f"champion. Train again with `python -m flows.train --model {SPEND}`, then promote that version."
            )
        with limit_threads():
            return spend, spend.model.predict(rows.x)
    except Exception as error:
        return _with_problem(spend, error), unknown


def _with_problem(spend: SpendModel, error: Exception) -> SpendModel:
    lines = str(error).strip().splitlines()
    problem = lines[0] if lines else type(error).__name__
    LOG.error("The spend of no customer is predicted: %s", problem)
    return replace(spend, model=None, problem=problem)
