"""The candidate models and the two baselines every one of them must beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from flows.training.dataset import TrainingSet

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C: the smaller, the more regularised
SIZES = (7, 15)  # leaves per tree

# Churn grows with the silence: boosting may not learn the opposite from noise.
_INCREASING = ("days_since_last_purchase", "lateness_ratio", "silence_share")


@dataclass(frozen=True)
class Candidate:
    """An untrained model and how simple it is: of two within noise, the lower ``complexity`` wins."""

    name: str
    family: str
    complexity: int
    params: dict[str, Any]
    build: Callable[[Sequence[str], int], BaseEstimator] = field(repr=False)


def candidates() -> list[Candidate]:
    """A regularised logistic regression at four strengths, and histogram gradient boosting at two sizes."""
    linear = [Candidate(f"logistic C={c:g}", "logistic", 0, {"C": c}, partial(_logistic, c)) for c in STRENGTHS]
    boosted = [
        Candidate(f"boosting leaves={n}", "boosting", 1, {"max_leaf_nodes": n}, partial(_boosting, n)) for n in SIZES
    ]
    return linear + boosted


def _logistic(c: float, names: Sequence[str], seed: int) -> BaseEstimator:
    return make_pipeline(
        FunctionTransformer(np.arcsinh),  # a logarithm that takes zero and returns
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=c, max_iter=2000),
    )


def _boosting(leaves: int, names: Sequence[str], seed: int) -> BaseEstimator:
    return HistGradientBoostingClassifier(
        max_leaf_nodes=leaves,
        learning_rate=0.05,
        max_iter=150,
        min_samples_leaf=100,
        l2_regularization=1.0,
        early_stopping=False,  # its random hold-out would mix the cut-offs
        monotonic_cst=[int(name in _INCREASING) for name in names],
        random_state=seed,
    )


def baseline_scores(train: TrainingSet, test: TrainingSet) -> dict[str, npt.NDArray[np.float64]]:
    """Churn probabilities of the test rows from the base rate alone and from recency alone."""
    recency = make_pipeline(StandardScaler(), LogisticRegression())
    column = "days_since_last_purchase"
    recency.fit(train.column(column).reshape(-1, 1), train.y)
    return {
        "base_rate": np.full(len(test.y), train.y.mean()),
        "recency": recency.predict_proba(test.column(column).reshape(-1, 1))[:, 1],
    }
