"""Spend in the horizon by BG/NBD and Gamma-Gamma, as a regressor.

BG/NBD (Fader, Hardie and Lee, 2005) gives the expected purchase days in the horizon, Gamma-Gamma (Fader and Hardie,
2013) the expected spend per purchase day; both are independent in this model. All times are in days.
"""

import numpy as np
from scipy.special import gammaln, hyp2f1
from sklearn.base import BaseEstimator, RegressorMixin

from holdfast.core.types import Floats

# Inputs of the model, in the order of ``columns``.
SPEND_INPUTS = ("purchase_days", "tenure_days", "days_since_last_purchase", "mean_purchase_amount")
_SINGULAR = 1e-6  # the expected purchases have removable singularities where a or a + b is 1


class BgNbdGammaGammaModel(RegressorMixin, BaseEstimator):
    """Fitted spend model.

    Args:
        purchase: Parameters r, alpha, a and b of BG/NBD.
        value: Parameters p, q and gamma of Gamma-Gamma.
        columns: Columns of ``SPEND_INPUTS`` in the inputs.
        horizon_days: Horizon of the label in days.
        inputs: Number of inputs; those outside ``columns`` have no effect.
        scale: Factor of the spend, which gives the fitted rows their total.
    """

    def __init__(
        self,
        purchase: tuple[float, float, float, float] = (1.0, 30.0, 0.5, 2.0),
        value: tuple[float, float, float] = (1.0, 2.0, 1.0),
        columns: tuple[int, int, int, int] = (0, 1, 2, 3),
        horizon_days: float = 90.0,
        inputs: int = 4,
        scale: float = 1.0,
    ) -> None:
        self.purchase = purchase
        self.value = value
        self.columns = columns
        self.horizon_days = horizon_days
        self.inputs = inputs
        self.scale = scale

    @property
    def n_features_in_(self) -> int:
        """Return the number of inputs, by scikit-learn's name."""
        return self.inputs

    def __sklearn_is_fitted__(self) -> bool:
        """Return True: the parameters are arguments."""
        return True

    def predict(self, x: Floats) -> Floats:
        """Compute the expected spend in the horizon.

        Args:
            x: Inputs, shape (rows, inputs).

        Returns:
            Spend, shape (rows,); NaN where an input of the model is missing.
        """
        days, tenure, silence, mean = (np.array(x[:, column], dtype=np.float64) for column in self.columns)
        repeats, age = np.maximum(days - 1, 0), np.maximum(tenure, 0)
        last = np.where(repeats > 0, np.clip(age - silence, 0, age), 0.0)
        purchases = expected_purchases(self.purchase, repeats, last, age, self.horizon_days)
        return self.scale * purchases * expected_value(self.value, days, mean)


def expected_purchases(
    parameters: tuple[float, float, float, float], repeats: Floats, last: Floats, age: Floats, horizon_days: float
) -> Floats:
    """Compute the expected purchases in a horizon by BG/NBD (Fader, Hardie and Lee, 2005, equation 10).

    Args:
        parameters: r, alpha, a and b.
        repeats: Purchase days after the first, shape (customers,).
        last: Days from the first to the last purchase, shape (customers,).
        age: Days from the first purchase to the begin of the horizon, shape (customers,).
        horizon_days: Length of the horizon in days.

    Returns:
        Expected purchases, shape (customers,).
    """
    r, alpha, a, b = parameters
    a = a if abs(a - 1) > _SINGULAR else 1 + _SINGULAR
    b = b if abs(a + b - 1) > _SINGULAR else b + _SINGULAR
    shape, top = r + repeats, a + b + repeats - 1
    past = horizon_days / (alpha + age + horizon_days)
    # Euler's transformation of the published form, whose factors overflow for frequent customers.
    inner = np.exp((a - 1) * np.log1p(-past)) * hyp2f1(a + b - 1 - r, a - 1, top, past)
    with np.errstate(over="ignore"):
        odds = a / (b + np.maximum(repeats, 1) - 1) * np.exp(shape * np.log((alpha + age) / (alpha + last)))
    purchases = top / (a - 1) * (1 - inner) / (1 + np.where(repeats > 0, odds, 0.0))
    return np.maximum(purchases, 0)


def expected_value(parameters: tuple[float, float, float], purchases: Floats, mean: Floats) -> Floats:
    """Compute the expected spend per purchase by Gamma-Gamma.

    Args:
        parameters: p, q and gamma; q above 1.
        purchases: Observed purchase days, shape (customers,).
        mean: Their mean spend, shape (customers,).

    Returns:
        Expected spend per purchase day, shape (customers,).
    """
    p, q, gamma = parameters
    return p * (gamma + purchases * mean) / (p * purchases + q - 1)


def value_log_likelihood(parameters: tuple[float, float, float], purchases: Floats, mean: Floats) -> Floats:
    """Compute the log-likelihood of mean spends by Gamma-Gamma (Fader and Hardie, 2013, equation 1).

    Args:
        parameters: p, q and gamma.
        purchases: Observed purchase days, shape (customers,).
        mean: Their mean spend, above 0, shape (customers,).

    Returns:
        Log-likelihood of each customer, shape (customers,).
    """
    p, q, gamma = parameters
    shape = p * purchases
    constant = gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(gamma)
    return (
        constant
        + (shape - 1) * np.log(mean)
        + shape * np.log(purchases)
        - (shape + q) * np.log(gamma + purchases * mean)
    )
