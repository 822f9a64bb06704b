"""Purchase models as classifiers: BG/NBD and Pareto/NBD, with the probability of no purchase in the horizon.

Both models describe customers who purchase at a rate that varies between customers and become inactive for good at
some time. The probability of no purchase in the horizon is the ratio of two likelihoods of one history: observed until
the end of the horizon, and observed until the request. All times are in days.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from scipy.special import betaln, expit, gammaln
from sklearn.base import BaseEstimator, ClassifierMixin
from typing_extensions import override

from holdfast.core.types import Bools, Floats
from holdfast.models.contributions import shapley_values

# Inputs of a purchase model, in the order of ``columns``.
PURCHASE_INPUTS = ("purchase_days", "tenure_days", "days_since_last_purchase")
_NODES, _WEIGHTS = (part[:, np.newaxis] for part in np.polynomial.legendre.leggauss(32))
_CHUNK = 4096  # rows at a time: quadrature takes 32 values per row
_LARGEST_DECAY = 40.0  # exp(-40) is below the precision of a float


class PurchaseModel(ClassifierMixin, BaseEstimator, ABC):
    """Fitted purchase model as a classifier of churn, which is its own compiled form; a subclass per distribution.

    Args:
        parameters: Parameters of the distribution, in the order of ``parameter_names``.
        columns: Columns of purchase days, tenure and days since the last purchase in the inputs.
        horizon_days: Horizon of the label in days.
        inputs: Number of inputs; those outside ``columns`` have no effect.
    """

    parameter_names: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        parameters: tuple[float, ...] = (),
        columns: tuple[int, int, int] = (0, 1, 2),
        horizon_days: float = 90.0,
        inputs: int = 3,
    ) -> None:
        self.parameters = parameters
        self.columns = columns
        self.horizon_days = horizon_days
        self.inputs = inputs

    @property
    def classes_(self) -> Bools:
        """Return the classes: no churn and churn."""
        return np.array([False, True])

    @property
    def n_features_in_(self) -> int:
        """Return the number of inputs, by scikit-learn's name."""
        return self.inputs

    def decision_function(self, x: Floats) -> Floats:
        """Compute the log-odds of no purchase in the horizon.

        Args:
            x: Inputs, shape (rows, inputs).

        Returns:
            Log-odds, shape (rows,); NaN where an input of the model is missing.
        """
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise ValueError(f"The matrix has shape {x.shape}, the model has {self.inputs} inputs.")
        parts = [self._score(x[start : start + _CHUNK]) for start in range(0, len(x), _CHUNK)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _score(self, x: Floats) -> Floats:
        days, tenure, silence = (np.array(x[:, column], dtype=np.float64) for column in self.columns)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            repeats, age = np.maximum(days - 1, 0), np.maximum(tenure, 0)
            last = np.where(repeats > 0, np.clip(age - silence, 0, age), 0.0)
            return self.no_purchase_log_odds(repeats, last, age, self.horizon_days)

    def predict_proba(self, x: Floats) -> Floats:
        """Compute probabilities.

        Args:
            x: Inputs, shape (rows, inputs).

        Returns:
            Probabilities of both classes, shape (rows, 2).
        """
        log_odds = self.decision_function(x)
        return np.column_stack([expit(-log_odds), expit(log_odds)])

    def log_odds(self, x: Floats) -> Floats:
        """Compute log-odds as :meth:`decision_function` does.

        Args:
            x: Inputs, shape (rows, inputs).

        Returns:
            Log-odds, shape (rows,).
        """
        return self.decision_function(x)

    def contributions(self, x: Floats, reference: Floats) -> tuple[float, Floats, Floats]:
        """Compute the Shapley value of each input for a single reference; inputs outside ``columns`` have zero.

        Args:
            x: Inputs, shape (rows, inputs).
            reference: Reference value per input, shape (inputs,).

        Returns:
            Log-odds of the reference, log-odds of each row, and contributions of shape (rows, inputs).
        """
        log_odds = self.decision_function(np.vstack([reference, x]))
        return float(log_odds[0]), log_odds[1:], shapley_values(self.decision_function, x, reference, self.columns)

    def probe_rows(self) -> Floats:
        """Create rows for a test of the scores: one and several purchases, early and late.

        Returns:
            Rows, shape (6, inputs).
        """
        rows = np.zeros((6, self.inputs))
        rows[:, self.columns] = [[1, 0, 0], [1, 90, 90], [2, 90, 1], [3, 400, 200], [20, 400, 5], [300, 3000, 900]]
        return rows

    @abstractmethod
    def log_likelihood(self, repeats: Floats, last: Floats, age: Floats) -> Floats:
        """Compute the log-likelihood of purchase histories.

        Args:
            repeats: Purchase days after the first, shape (customers,).
            last: Days from the first to the last purchase, shape (customers,).
            age: Days from the first purchase to the end of the observation, shape (customers,).

        Returns:
            Log-likelihood of each history, shape (customers,).
        """

    @abstractmethod
    def no_purchase_log_odds(self, repeats: Floats, last: Floats, age: Floats, horizon_days: float) -> Floats:
        """Compute the log-odds of no purchase in a horizon that begins at ``age``; never decreasing as ``last`` falls.

        Args:
            repeats: Purchase days after the first, shape (customers,).
            last: Days from the first to the last purchase, shape (customers,).
            age: Days from the first purchase to the end of the observation, shape (customers,).
            horizon_days: Length of the horizon in days.

        Returns:
            Log-odds, shape (customers,).
        """


class BgNbdModel(PurchaseModel):
    """BG/NBD (Fader, Hardie and Lee, 2005): a customer can become inactive after each repeat purchase.

    The purchase rate is Gamma(r, alpha), the probability to become inactive Beta(a, b).
    """

    parameter_names = ("r", "alpha", "a", "b")

    @override
    def log_likelihood(self, repeats: Floats, last: Floats, age: Floats) -> Floats:
        """Compute the log-likelihood of purchase histories."""
        r, alpha, a, b = self.parameters
        shape = r + repeats
        common = gammaln(shape) - gammaln(r) + r * np.log(alpha) + betaln(a, b + repeats) - betaln(a, b)
        return common + np.logaddexp(-shape * np.log(alpha + age), self._inactive(repeats, last))

    @override
    def no_purchase_log_odds(self, repeats: Floats, last: Floats, age: Floats, horizon_days: float) -> Floats:
        """Compute the log-odds of no purchase in a horizon."""
        r, alpha, _, _ = self.parameters
        shape = r + repeats
        # log of (1 + horizon / (alpha + age)) ** shape: the likelihood of an active customer falls by this factor.
        decay = shape * np.log1p(horizon_days / (alpha + age))
        active = -shape * np.log(alpha + age)
        return np.logaddexp(active - decay, self._inactive(repeats, last)) - active - np.log(-np.expm1(-decay))

    def _inactive(self, repeats: Floats, last: Floats) -> Floats:
        """Compute the log-likelihood of inactivity since the last purchase, without the factors of an active one."""
        r, alpha, a, b = self.parameters
        odds = np.log(a) - np.log(b + np.maximum(repeats, 1) - 1)
        return np.where(repeats > 0, odds - (r + repeats) * np.log(alpha + last), -np.inf)


class ParetoNbdModel(PurchaseModel):
    """Pareto/NBD (Schmittlein, Morrison and Colombo, 1987): a customer can become inactive at any time.

    The purchase rate is Gamma(r, alpha), the rate of becoming inactive Gamma(s, beta).
    """

    parameter_names = ("r", "alpha", "s", "beta")

    @override
    def log_likelihood(self, repeats: Floats, last: Floats, age: Floats) -> Floats:
        """Compute the log-likelihood of purchase histories."""
        r, alpha, s, beta = self.parameters
        common = gammaln(r + repeats) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
        return common + self._no_purchase(repeats, last, age)

    @override
    def no_purchase_log_odds(self, repeats: Floats, last: Floats, age: Floats, horizon_days: float) -> Floats:
        """Compute the log-odds of no purchase in a horizon."""
        r, alpha, s, beta = self.parameters
        shape, end = r + repeats, age + horizon_days
        purchase = np.log(shape) + _log_integral(alpha, beta, shape + 1, s, age, end)
        return self._no_purchase(repeats, last, end) - purchase

    def _no_purchase(self, repeats: Floats, last: Floats, end: Floats) -> Floats:
        """Compute the log-likelihood of no purchase from the last one to ``end``, without constant factors."""
        r, alpha, s, beta = self.parameters
        shape = r + repeats
        active = -shape * np.log(alpha + end) - s * np.log(beta + end)
        return np.logaddexp(active, np.log(s) + _log_integral(alpha, beta, shape, s + 1, last, end))


def extract_purchase_model(classifier: Any) -> PurchaseModel | None:
    """Return a fitted purchase model, which needs no compilation.

    Args:
        classifier: Any fitted estimator.

    Returns:
        The model; None for any other estimator.
    """
    if type(classifier) not in (BgNbdModel, ParetoNbdModel):
        return None
    return classifier if len(classifier.parameters) == len(classifier.parameter_names) else None


def _log_integral(alpha: float, beta: float, p: Floats, q: float, low: Floats, high: Floats) -> Floats:
    """Compute log of the integral of (alpha + t) ** -p * (beta + t) ** -q over t from ``low`` to ``high``.

    Gauss-Legendre quadrature in log(min(alpha, beta) + t), in which the integrand has no real singularity and its
    logarithm is concave. The interval ends where the integrand is below the precision of a float.
    """
    near, far, own, other = (alpha, beta, p, q) if alpha <= beta else (beta, alpha, q, p)
    own = own - 1  # from the change of variable
    share = (near + low) / (far + low)
    decay = own + other * share
    with np.errstate(divide="ignore"):
        length = np.log1p((high - low) / (near + low))
        length = np.minimum(length, np.where(decay > 0, _LARGEST_DECAY / np.abs(decay), np.inf))
        steps = length * (0.5 * (1 + _NODES))
        values = np.exp(-own * steps - other * np.log1p(share * np.expm1(steps)))
        # The sum runs from the first node to the last, so that a row has the same bits in every batch.
        total = np.add.accumulate(_WEIGHTS * values, axis=0)[-1]
        return np.log(0.5 * length * total) - own * np.log(near + low) - other * np.log(far + low)
