"""Fitted models on synthetic data: the additive families, and boosting with interactions."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from holdfast.models.additive_terms import arcsinh_inputs
from holdfast.training.dataset import TrainingSet
from tests.support.training_sets import make_training_set, month_starts

INPUTS = 5
SOMETIMES_MISSING = 3  # number of the first input with missing values


def customers(rows: int, seed: int) -> np.ndarray:
    """Draw skewed values, some missing, shape (rows, 5)."""
    generator = np.random.default_rng(seed)
    x = generator.lognormal(1, 2, (rows, INPUTS)) * generator.choice([1, 1, 1, -1, 0], (rows, INPUTS))
    x[:, SOMETIMES_MISSING:][generator.random((rows, INPUTS - SOMETIMES_MISSING)) < 0.2] = np.nan
    return x


def outcomes(x: np.ndarray, seed: int) -> np.ndarray:
    """Draw churn that depends on an interaction of two inputs and on a missing input."""
    score = np.arcsinh(x[:, 0]) + (x[:, 1] > 0) * (x[:, 2] > 0) + np.isnan(x[:, 3])
    return np.random.default_rng(seed).logistic(size=len(x)) < score - 1


def logistic() -> Any:
    """Create the pipeline of the logistic family."""
    return make_pipeline(
        FunctionTransformer(arcsinh_inputs),
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=2000),
    )


def boosting(interactions: str | None = "no_interactions") -> Any:
    """Create the boosting family; ``interactions`` None is the default of scikit-learn."""
    return HistGradientBoostingClassifier(
        max_iter=40, early_stopping=False, interaction_cst=interactions, random_state=0
    )


def fitted(model: Any) -> Any:
    """Fit a model on 1500 customers."""
    x = customers(1500, seed=1)
    return model.fit(x, outcomes(x, seed=2))


def training_set(x: np.ndarray, churned: np.ndarray) -> TrainingSet:
    """Build a training set; the risk increases with the first input, and the last is in log-odds."""
    columns = {f"input_{i}": values for i, values in enumerate(x.T)}
    data = make_training_set(churned, range(len(x)), month_starts(1) * len(x), **columns)
    first, *others, last = data.inputs
    return replace(data, inputs=[replace(first, increasing=True), *others, replace(last, log_odds=True)])
