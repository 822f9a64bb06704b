"""Baseline models that every candidate must beat: base rate, recency, RFM and BG/NBD."""

import contextlib
import io
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from holdfast.core.types import Floats
from holdfast.training.dataset import PurchaseHistory, TrainingSet

if TYPE_CHECKING:
    from lifetimes import BetaGeoFitter


# Labels in reports.
BASELINE_LABELS = {
    "base_rate": "base rate",
    "recency": "recency alone",
    "rfm": "RFM logistic",
    "bg_nbd": "BG/NBD",
}
_PENALTIES = (0.0, 0.001, 0.01, 0.1, 1.0)
_RFM = ["days_since_last_purchase", "purchase_days", "mean_purchase_amount"]


def score_baselines(
    train: TrainingSet, history: PurchaseHistory, test: TrainingSet, horizon_days: int
) -> dict[str, Floats]:
    """Compute the churn probabilities of the test rows by each baseline.

    Args:
        train: Rows on which the baselines are fitted, except BG/NBD.
        history: Purchase history of all customers, from which BG/NBD learns instead of from outcomes.
        test: Rows to score.
        horizon_days: Horizon of the label in days.

    Returns:
        Baseline to scores, shape (test rows,).
    """
    return {
        "base_rate": np.full(len(test.y), train.y.mean()),
        "recency": _logistic(train, test, _RFM[:1]),
        "rfm": _logistic(train, test, _RFM),
        "bg_nbd": _bg_nbd(history, test, horizon_days),
    }


def _logistic(train: TrainingSet, test: TrainingSet, names: list[str]) -> Floats:
    model = make_pipeline(FunctionTransformer(np.arcsinh), StandardScaler(), LogisticRegression())
    model.fit(_columns(train, names), train.y)
    return model.predict_proba(_columns(test, names))[:, 1]


def _bg_nbd(history: PurchaseHistory, test: TrainingSet, horizon_days: int) -> Floats:
    """Compute the probability of no purchase in the horizon under BG/NBD (Fader, Hardie and Lee, 2005).

    ``lifetimes`` fits on all customers, including inactive ones: without these, no customer would drop out. The fit
    gives the probability of being alive. The purchase rate of a living customer given the history is
    Gamma(r + x, alpha + T), so the horizon has no purchase with probability
    ((alpha + T) / (alpha + T + horizon)) ** (r + x).
    """
    model = _fit_bg_nbd(history)
    x, last, age = _test_history(test)
    alive = np.asarray(model.conditional_probability_alive(x, last, age))
    r, alpha = model.params_["r"], model.params_["alpha"]
    silent = ((alpha + age) / (alpha + age + horizon_days)) ** (r + x)
    return 1 - alive * (1 - silent)


def _fit_bg_nbd(history: PurchaseHistory) -> "BetaGeoFitter":
    """Fit with the smallest penalty that converges; without drop-outs the unpenalized likelihood has no maximum."""
    from lifetimes import BetaGeoFitter
    from lifetimes.utils import ConvergenceError

    for penalty in _PENALTIES[:-1]:
        with contextlib.suppress(ConvergenceError), contextlib.redirect_stdout(io.StringIO()):
            return BetaGeoFitter(penalizer_coef=penalty).fit(*history)
    return BetaGeoFitter(penalizer_coef=_PENALTIES[-1]).fit(*history)


def _test_history(data: TrainingSet) -> PurchaseHistory:
    age, silence = data.column("tenure_days"), data.column("days_since_last_purchase")
    repeats = data.column("purchase_days") - 1
    return PurchaseHistory(repeats, np.where(repeats > 0, age - silence, 0.0), age)


def _columns(data: TrainingSet, names: list[str]) -> Floats:
    return np.column_stack([data.column(name) for name in names])
