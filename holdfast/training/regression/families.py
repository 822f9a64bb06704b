"""Model families and baselines of the spend, simplest first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import TweedieRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from holdfast.core.threads import limit_threads
from holdfast.core.types import Floats
from holdfast.models.additive_terms import arcsinh_inputs
from holdfast.models.purchase_models import BgNbdModel
from holdfast.models.spend_models import SPEND_INPUTS, BgNbdGammaGammaModel, value_log_likelihood
from holdfast.training.category_encoding import fit_indicators, fit_ranks
from holdfast.training.dataset import TrainingSet
from holdfast.training.model_families import UnknownFamilyError
from holdfast.training.purchase_fitting import fit_purchase_model

POWER = 1.5  # of the Tweedie distribution: a sum of a Poisson number of gamma amounts, with a mass at zero
BASELINE_LABELS = {"mean": "mean spend", "own_past": "own past spend", "bg_nbd_gamma_gamma": "BG/NBD with Gamma-Gamma"}
_MAX_CUSTOMERS = 10_000
_BOUND = 9.0  # largest logarithm of a Gamma-Gamma parameter; gamma is in units of the mean spend

# Function of hyperparameters, rows and seed that returns a fitted regressor.
FitRegressor = Callable[[Mapping[str, Any], TrainingSet, int], BaseEstimator]


@dataclass(frozen=True)
class RegressionFamily:
    """Model family of a regression.

    Attributes:
        complexity: Rank of the family; 0 is the simplest.
        grid: Hyperparameters that the folds compare; the first are those of a model without folds.
        fit_rows: Function that fits a model. The caller limits the threads.
    """

    name: str
    complexity: int
    grid: tuple[dict[str, Any], ...]
    fit_rows: FitRegressor

    def fit(self, params: Mapping[str, Any], data: TrainingSet, seed: int) -> BaseEstimator:
        """Fit a model on one thread.

        Args:
            params: Hyperparameters.
            data: Rows to fit on, with their target.
            seed: Seed of the model.

        Returns:
            Fitted regressor.
        """
        with limit_threads():
            return self.fit_rows(params, data, seed)


def target_of(data: TrainingSet) -> Floats:
    """Return the target of rows.

    Args:
        data: Rows of a regression.

    Returns:
        Target, shape (rows,).
    """
    assert data.target is not None  # labeled by spend_labels
    return data.target


def _fit_bg_nbd_gamma_gamma(params: Mapping[str, Any], data: TrainingSet, seed: int) -> BaseEstimator:
    names = [feature.name for feature in data.inputs]
    latest = data.keys["cutoff"].max()
    purchase = fit_purchase_model(BgNbdModel, data.histories[latest], names, data.terms.horizon_days)
    rows = data.at_cutoffs([latest])
    r, alpha, a, b = purchase.parameters
    days, tenure, silence, mean = (names.index(name) for name in SPEND_INPUTS)
    model = BgNbdGammaGammaModel(
        (r, alpha, a, b),
        _fit_gamma_gamma(rows.column("purchase_days"), rows.column("mean_purchase_amount")),
        (days, tenure, silence, mean),
        float(data.terms.horizon_days),
        len(names),
    )
    model.scale = _scale_to_total(model.predict(data.x), target_of(data))
    return model


def _fit_gamma_gamma(purchases: Floats, mean: Floats) -> tuple[float, float, float]:
    """Maximize the likelihood of the customers' mean spends; of many customers evenly spaced ones are used."""
    step = max(1, -(-len(mean) // _MAX_CUSTOMERS))
    purchases, mean = purchases[::step], mean[::step]
    unit = float(mean.mean())

    def parameters(logarithms: Floats) -> tuple[float, float, float]:
        p, q, gamma = np.exp(logarithms).tolist()
        return p, 1 + q, gamma

    def loss(logarithms: Floats) -> float:
        return -float(value_log_likelihood(parameters(logarithms), purchases, mean / unit).mean())

    found = minimize(loss, np.array([1.0, 1.0, 1.0]), method="L-BFGS-B", bounds=[(-_BOUND, _BOUND)] * 3)
    p, q, gamma = parameters(found.x)
    return p, q, gamma * unit


def _fit_tweedie(params: Mapping[str, Any], data: TrainingSet, seed: int) -> BaseEstimator:
    encode = fit_indicators(data)
    log_odds = [number for number, feature in enumerate(data.inputs) if feature.log_odds or feature.is_categorical]
    x = data.x if encode is None else encode.transform(data.x)
    log_odds += range(len(data.inputs), x.shape[1])
    steps = [
        FunctionTransformer(arcsinh_inputs, kw_args={"log_odds": log_odds}),
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        TweedieRegressor(power=POWER, link="log", max_iter=1000, **params),
    ]
    return make_pipeline(*([] if encode is None else [encode]), *steps).fit(data.x, target_of(data))


def _fit_boosting(params: Mapping[str, Any], data: TrainingSet, seed: int) -> BaseEstimator:
    encode = fit_ranks(data)
    x = data.x if encode is None else encode.transform(data.x)
    empty = np.isnan(x).all(axis=0)  # scikit-learn cannot bin an input of nulls
    model = HistGradientBoostingRegressor(
        loss="poisson", early_stopping=False, interaction_cst="no_interactions", random_state=seed, **params
    ).fit(np.where(empty, 0.0, x), target_of(data))
    return model if encode is None else make_pipeline(encode, model)


_BOOSTING = {"learning_rate": 0.1, "max_iter": 60, "max_leaf_nodes": 7, "l2_regularization": 1.0}
REGRESSION_FAMILIES = {
    "bg_nbd_gamma_gamma": RegressionFamily("bg_nbd_gamma_gamma", 0, ({},), _fit_bg_nbd_gamma_gamma),
    "tweedie": RegressionFamily(
        "tweedie", 1, tuple({"alpha": alpha} for alpha in (0.1, 0.01, 0.001, 1.0)), _fit_tweedie
    ),
    "boosting": RegressionFamily(
        "boosting", 2, tuple(_BOOSTING | {"min_samples_leaf": rows} for rows in (100, 300, 1000)), _fit_boosting
    ),
}


def list_regression_families(data: TrainingSet, candidates: Sequence[str] | None) -> list[RegressionFamily]:
    """List the declared families that can be fitted on a training set, simplest first.

    Args:
        data: Training set.
        candidates: Names of the families; all when None.

    Returns:
        Families; BG/NBD with Gamma-Gamma only if the model has its inputs.

    Raises:
        UnknownFamilyError: A candidate is no family of a regression.
    """
    names = list(REGRESSION_FAMILIES) if candidates is None else candidates
    if unknown := [name for name in names if name not in REGRESSION_FAMILIES]:
        raise UnknownFamilyError(
            f"There is no model family {unknown[0]!r} of a regression: choose of {', '.join(REGRESSION_FAMILIES)}."
        )
    has_history = bool(data.histories) and {feature.name for feature in data.inputs} >= set(SPEND_INPUTS)
    found = [REGRESSION_FAMILIES[name] for name in names if has_history or name != "bg_nbd_gamma_gamma"]
    return sorted(found, key=lambda family: family.complexity)


def predict_baselines(train: TrainingSet, test: TrainingSet, seed: int) -> dict[str, Floats]:
    """Predict the test rows by each baseline that the features allow.

    Args:
        train: Rows to fit on.
        test: Rows to predict.
        seed: Seed of the models.

    Returns:
        Baseline to predictions, shape (test rows,).
    """
    found = {"mean": np.full(len(test.y), target_of(train).mean())}
    if {"purchase_days", "mean_purchase_amount", "tenure_days"} <= set(test.feature_names):
        past = _past_spend(train)
        found["own_past"] = _past_spend(test) * _scale_to_total(past, target_of(train))
    if list_regression_families(train, ["bg_nbd_gamma_gamma"]):
        model = REGRESSION_FAMILIES["bg_nbd_gamma_gamma"].fit({}, train, seed)
        found["bg_nbd_gamma_gamma"] = model.predict(test.x)
    return found


def _past_spend(data: TrainingSet) -> Floats:
    """Return the spend per horizon since the first purchase; a younger customer counts as one horizon old."""
    spend = data.column("purchase_days") * data.column("mean_purchase_amount")
    return spend * data.terms.horizon_days / np.maximum(data.column("tenure_days"), data.terms.horizon_days)


def _scale_to_total(predicted: Floats, observed: Floats) -> float:
    total = float(predicted.sum())
    return float(observed.sum()) / total if total > 0 else 1.0
