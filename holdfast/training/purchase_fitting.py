"""Maximum likelihood fit of purchase models to the purchase history of all customers."""

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from holdfast.core.types import Floats
from holdfast.models.purchase_models import PURCHASE_INPUTS, PurchaseModel
from holdfast.training.dataset import PurchaseHistory

MAX_CUSTOMERS = 10_000
_FIRST_STAGE = 1_000  # customers whose fit is the start of the fit to all
_BOUND = 7.0  # largest logarithm of a parameter, in units of the mean age where it is a time
_TIMES = ("alpha", "beta")


def fit_purchase_model(
    model: type[PurchaseModel], history: PurchaseHistory, inputs: Sequence[str], horizon_days: float
) -> PurchaseModel:
    """Fit a purchase model by maximum likelihood.

    Inactive customers belong to the history: without them no customer would become inactive. Times are rounded to
    days, so that customers with the same history are one term. Of more than ``MAX_CUSTOMERS`` the likelihood uses that
    many, evenly spaced in the order of the history, so the same history gives the same parameters. Each parameter stays
    within a factor of 1,100 of 1 or, if it is a time, of the mean age, because the likelihood of some histories has no
    maximum: no customer purchased again, or everybody at the same rate.

    Args:
        model: Class of the model.
        history: Purchase history of all customers, active or not.
        inputs: Names of the inputs of the model; those of a purchase model must be among them.
        horizon_days: Horizon of the label in days.

    Returns:
        Fitted model.
    """
    days, tenure, silence = (inputs.index(name) for name in PURCHASE_INPUTS)
    parameters = maximize_likelihood(model, *(np.rint(part) for part in history))
    return model(parameters, (days, tenure, silence), float(horizon_days), len(inputs))


def maximize_likelihood(model: type[PurchaseModel], repeats: Floats, last: Floats, age: Floats) -> tuple[float, ...]:
    """Find the parameters of a purchase model with the largest likelihood.

    Args:
        model: Class of the model.
        repeats: Purchase days after the first, shape (customers,).
        last: Time from the first to the last purchase, shape (customers,).
        age: Time from the first purchase to the end of the observation, shape (customers,).

    Returns:
        Parameters, in the order of ``parameter_names``.
    """
    rows = np.stack([repeats, last, age])
    parameters: tuple[float, ...] = ()
    for customers in (_FIRST_STAGE, MAX_CUSTOMERS):
        sample = rows[:, _evenly_spaced(rows.shape[1], customers)]
        parameters = _maximize(cast("Hashable", model), sample.tobytes(), parameters)
        if rows.shape[1] <= customers:
            break
    return parameters


def _evenly_spaced(size: int, most: int) -> npt.NDArray[np.intp]:
    return np.arange(size) if size <= most else np.linspace(0, size - 1, most).astype(np.intp)


@lru_cache(maxsize=64)  # a history is fitted by the search, the comparison of families, the baselines and the refit
def _maximize(model: Any, content: bytes, start: tuple[float, ...]) -> tuple[float, ...]:
    rows, counts = np.unique(np.frombuffer(content).reshape(3, -1), axis=1, return_counts=True)
    mean_age = max(float(np.average(rows[2], weights=counts)), 1e-3) if len(counts) else 1.0
    units = np.array([mean_age if name in _TIMES else 1.0 for name in model.parameter_names])

    def mean_loss(logarithms: Floats) -> float:
        parameters = tuple((np.exp(logarithms) * units).tolist())
        return -float(counts @ model(parameters).log_likelihood(*rows)) / max(counts.sum(), 1)

    found = minimize(
        mean_loss,
        np.clip(np.log(np.array(start or units) / units), -_BOUND, _BOUND),
        method="L-BFGS-B",
        bounds=[(-_BOUND, _BOUND)] * len(units),
        options={"ftol": 1e-11, "gtol": 1e-6},
    )
    return tuple((np.exp(found.x) * units).tolist())
