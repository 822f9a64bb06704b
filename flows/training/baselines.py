"""The simple models that every candidate must beat."""

import contextlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from flows.training.dataset import TrainingSet

if TYPE_CHECKING:
    from lifetimes import BetaGeoFitter

Scores = npt.NDArray[np.float64]

# As people read them.
BASELINES = {
    "base_rate": "base rate",
    "recency": "recency alone",
    "rfm": "RFM logistic",
    "bg_nbd": "BG/NBD",
}
_PENALTIES = (0.0, 0.001, 0.01, 0.1, 1.0)
_RFM = ["days_since_last_purchase", "purchase_days", "mean_purchase_amount"]


def baseline_scores(train: TrainingSet, test: TrainingSet, horizon_days: int) -> dict[str, Scores]:
    """Churn probabilities of the test rows by each baseline, fitted on ``train``."""
    methods: dict[str, Callable[[], Scores]] = {
        "base_rate": lambda: np.full(len(test.y), train.y.mean()),
        "recency": lambda: _logistic(train, test, _RFM[:1]),
        "rfm": lambda: _logistic(train, test, _RFM),
        "bg_nbd": lambda: _bg_nbd(train, test, horizon_days),
    }
    return {name: methods[name]() for name in BASELINES}


def _logistic(train: TrainingSet, test: TrainingSet, names: list[str]) -> Scores:
    model = make_pipeline(FunctionTransformer(np.arcsinh), StandardScaler(), LogisticRegression())
    model.fit(_columns(train, names), train.y)
    return model.predict_proba(_columns(test, names))[:, 1]


def _bg_nbd(train: TrainingSet, test: TrainingSet, horizon_days: int) -> Scores:
    """The probability of no purchase in the horizon under BG/NBD (Fader, Hardie and Lee, 2005).

    Fitted by ``lifetimes`` on the latest cut-off of ``train``, one row per customer. It gives the probability of
    being alive; of those, the rate of purchases given the history is Gamma(r + x, alpha + T), so none falls into
    the horizon with probability ((alpha + T) / (alpha + T + horizon)) ** (r + x).
    """
    latest = train.at([train.keys["cutoff"].max()])
    model = _fitted_bg_nbd(*_recency_and_frequency(latest))
    x, last, age = _recency_and_frequency(test)
    alive = np.asarray(model.conditional_probability_alive(x, last, age))
    r, alpha = model.params_["r"], model.params_["alpha"]
    silent = ((alpha + age) / (alpha + age + horizon_days)) ** (r + x)
    return 1 - alive * (1 - silent)


def _fitted_bg_nbd(repeats: Scores, last: Scores, age: Scores) -> "BetaGeoFitter":
    """The fit with the smallest penalty that converges: where nobody ever drops out, none has no maximum."""
    from lifetimes import BetaGeoFitter
    from lifetimes.utils import ConvergenceError

    for penalty in _PENALTIES[:-1]:
        with contextlib.suppress(ConvergenceError), contextlib.redirect_stdout(io.StringIO()):
            return BetaGeoFitter(penalizer_coef=penalty).fit(repeats, last, age)
    return BetaGeoFitter(penalizer_coef=_PENALTIES[-1]).fit(repeats, last, age)


def _recency_and_frequency(data: TrainingSet) -> tuple[Scores, Scores, Scores]:
    """Repeat purchases, time of the last one and of the cut-off, both in days since the first."""
    age = data.column("tenure_days")
    repeats = data.column("purchase_days") - 1
    return repeats, np.where(repeats > 0, age - data.column("days_since_last_purchase"), 0.0), age


def _columns(data: TrainingSet, names: list[str]) -> Scores:
    return np.column_stack([data.column(name) for name in names])
