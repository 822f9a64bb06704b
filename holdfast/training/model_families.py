"""Model families of the search, simplest first.

Each family has exact contributions, so that the reason codes of a prediction are exact (docs/decisions/0006).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.models.additive_terms import arcsinh_inputs
from holdfast.models.purchase_models import PURCHASE_INPUTS, BgNbdModel, ParetoNbdModel, PurchaseModel
from holdfast.training.bounded_logistic import fit_bounded_logistic
from holdfast.training.category_encoding import fit_indicators, fit_ranks
from holdfast.training.dataset import TrainingSet
from holdfast.training.purchase_fitting import fit_purchase_model
from holdfast.training.recipe import BASE_RATE

if TYPE_CHECKING:
    from optuna import Trial

Params = Mapping[str, Any]
# Function of hyperparameters and seed that returns a fitted estimator.
Fit = Callable[[Params, int], BaseEstimator]


@dataclass(frozen=True)
class Family:
    """Model family.

    Attributes:
        complexity: Rank of the family; 0 is the simplest.
        defaults: Hyperparameters of the first trial, and of the model where there are no folds for a search; empty for
            a family without hyperparameters.
        suggest: Function that draws hyperparameters for an Optuna trial.
        prepare: Function of a training set that does the work which does not depend on the hyperparameters.
        uses_history: Whether the family is fitted on the purchase history of all customers instead of the labels.
    """

    name: str
    complexity: int
    defaults: dict[str, Any]
    suggest: "Callable[[Trial], dict[str, Any]]"
    prepare: Callable[[TrainingSet], Fit]
    uses_history: bool = False

    def fit(self, params: Params, data: TrainingSet, seed: int) -> BaseEstimator:
        """Fit a model. The caller limits the threads.

        Args:
            params: Hyperparameters.
            data: Rows to fit on.
            seed: Seed of the classifier.

        Returns:
            Fitted estimator with ``predict_proba``, and with log-odds as ``decision_function``.
        """
        return self.prepare(data)(params, seed)

    def planned_trials(self, budget: int) -> int:
        """Return the number of trials of a search.

        Args:
            budget: Trials of a family with hyperparameters.

        Returns:
            Number of trials; 1 without hyperparameters.
        """
        return budget if self.defaults else 1


def _prepare_purchase_model(model: type[PurchaseModel], data: TrainingSet) -> Fit:
    latest = data.histories[data.keys["cutoff"].max()]
    fitted = fit_purchase_model(model, latest, [feature.name for feature in data.inputs], data.terms.horizon_days)
    return lambda params, seed: fitted


def _prepare_logistic(data: TrainingSet) -> Fit:
    encode = fit_indicators(data)
    x = _fill_empty_inputs(data.x if encode is None else encode.fit_transform(data.x))
    log_odds = [number for number, feature in enumerate(data.inputs) if feature.log_odds]
    indicators = [number for number, feature in enumerate(data.inputs) if feature.is_categorical]
    indicators += range(len(data.inputs), x.shape[1])
    scale = FunctionTransformer(arcsinh_inputs, kw_args={"log_odds": [*log_odds, *indicators]})
    scaled = scale.fit_transform(x)
    impute, standardize = _fit_median_imputer(scaled), StandardScaler()
    filled = impute.transform(scaled)
    # An indicator keeps its scale, so that the penalty draws a category the more to the others the fewer rows it has.
    standardize.fit(filled).scale_[indicators] = 1.0
    x = standardize.transform(filled)
    # Indicators follow the inputs; their sign is not declared.
    increasing = np.array([feature.increasing for feature in data.inputs] + [False] * (x.shape[1] - len(data.inputs)))
    steps = [step for step in (encode, scale, impute, standardize) if step is not None]

    def fit(params: Params, seed: int) -> BaseEstimator:
        return make_pipeline(*steps, fit_bounded_logistic(x, data.y, increasing, **params))

    return fit


def _fit_median_imputer(x: Floats) -> SimpleImputer:
    """Fit an imputer of medians, with an indicator per input that has missing values.

    scikit-learn's own median of a matrix with missing values sorts masked arrays, which takes ten times as long. The
    imputer learns from two rows with the same medians and the same missing inputs.
    """
    medians, missing = np.nanmedian(x, axis=0), np.isnan(x).any(axis=0)
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return imputer.fit(np.stack([medians, np.where(missing, np.nan, medians)]))


def _prepare_boosting(data: TrainingSet) -> Fit:
    encode = fit_ranks(data)
    x = _fill_empty_inputs(data.x if encode is None else encode.fit_transform(data.x))
    directions = [int(feature.increasing) for feature in data.inputs]

    def fit(params: Params, seed: int) -> BaseEstimator:
        model = HistGradientBoostingClassifier(
            **params,
            early_stopping=False,  # its random hold-out would mix the cut-offs
            interaction_cst="no_interactions",  # a generalized additive model (Lou, Caruana and Gehrke, 2012)
            monotonic_cst=directions,
            random_state=seed,
        ).fit(x, data.y)
        return model if encode is None else make_pipeline(encode, model)

    return fit


def _prepare_base_rate(data: TrainingSet) -> Fit:
    """Prepare a logistic regression without coefficients: a constant that is served, explained and scored as others."""
    fit = _prepare_logistic(data)

    def fit_constant(params: Params, seed: int) -> BaseEstimator:
        model = fit({"C": 1.0}, seed)
        regression = model[-1]
        regression.coef_ = np.zeros_like(regression.coef_)
        regression.intercept_ = np.array([logit(data.y.mean())])
        return model

    return fit_constant


def _fill_empty_inputs(x: Floats) -> Floats:
    """Replace inputs that are null in every row by a constant; scikit-learn 1.9 cannot bin an input of nulls."""
    empty = np.isnan(x).all(axis=0)
    return np.where(empty, 0.0, x) if empty.any() else x


FAMILIES = {
    "bg_nbd": Family(
        name="bg_nbd",
        complexity=0,
        defaults={},
        suggest=lambda trial: {},
        prepare=partial(_prepare_purchase_model, BgNbdModel),
        uses_history=True,
    ),
    "pareto_nbd": Family(
        name="pareto_nbd",
        complexity=1,
        defaults={},
        suggest=lambda trial: {},
        prepare=partial(_prepare_purchase_model, ParetoNbdModel),
        uses_history=True,
    ),
    "logistic": Family(
        name="logistic",
        complexity=2,
        defaults={"C": 0.01},
        suggest=lambda trial: {"C": trial.suggest_float("C", 1e-5, 100, log=True)},
        prepare=_prepare_logistic,
    ),
    "boosting": Family(
        name="boosting",
        complexity=3,
        defaults={
            "learning_rate": 0.1,
            "max_iter": 60,
            "max_leaf_nodes": 7,
            "min_samples_leaf": 100,
            "l2_regularization": 1.0,
        },
        suggest=lambda trial: {
            "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
            "max_iter": trial.suggest_int("max_iter", 30, 150, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 3, 31, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 20, 500, log=True),
            "l2_regularization": trial.suggest_float("l2_regularization", 0.01, 100, log=True),
        },
        prepare=_prepare_boosting,
    ),
}


# One probability for all customers: never searched, trained by request only.
_CONSTANT = Family(name=BASE_RATE, complexity=0, defaults={}, suggest=lambda trial: {}, prepare=_prepare_base_rate)


def find_family(name: str) -> Family:
    """Find a family by name, the base rate included.

    Args:
        name: Name of the family.

    Returns:
        The family.
    """
    return _CONSTANT if name == BASE_RATE else FAMILIES[name]


class UnknownFamilyError(HoldfastError):
    """Name of a model family that does not exist."""


def list_families(data: TrainingSet, candidates: Sequence[str] | None = None) -> list[Family]:
    """List the families that can be fitted on a training set, simplest first.

    Args:
        data: Training set.
        candidates: Names of the families; all when None.

    Returns:
        Families; purchase models only for a label of purchases, with the history and the inputs of such a model.

    Raises:
        UnknownFamilyError: A candidate is no family.
    """
    names = list(FAMILIES) if candidates is None else candidates
    if unknown := [name for name in names if name not in FAMILIES]:
        raise UnknownFamilyError(f"There is no model family {unknown[0]!r}: choose of {', '.join(FAMILIES)}.")
    has_inputs = {feature.name for feature in data.inputs} >= set(PURCHASE_INPUTS)
    is_usable = bool(data.histories) and has_inputs and not data.terms.has_subscriptions
    found = [family for family in map(FAMILIES.__getitem__, names) if is_usable or not family.uses_history]
    return sorted(found, key=lambda family: family.complexity)


def describe_model(family: str, params: Mapping[str, Any]) -> str:
    """Describe a model in a few words, such as ``logistic C=0.001``.

    Args:
        family: Name of the family.
        params: Hyperparameters.

    Returns:
        Description.
    """
    return " ".join([family, *(f"{name}={value:.3g}" for name, value in params.items())])
