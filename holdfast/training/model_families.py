"""Model families of the search, simplest first.

Both are additive in log-odds, so that the reason codes of a prediction are exact (docs/decisions/0006).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

if TYPE_CHECKING:
    from optuna import Trial

# Churn increases with inactivity: the constraint keeps boosting from learning the opposite from noise.
_INCREASING = ("days_since_last_purchase", "lateness_ratio", "silence_share")


@dataclass(frozen=True)
class Family:
    """Model family.

    Attributes:
        complexity: Rank of the family; 0 is the simplest.
        defaults: Hyperparameters of the first trial, and of the model where there are no folds for a search.
        suggest: Function that draws hyperparameters for an Optuna trial.
        transformers: Function that builds the transformers, which do not depend on the hyperparameters.
        classifier: Function of hyperparameters, input names and seed that builds the classifier.
    """

    name: str
    complexity: int
    defaults: dict[str, Any]
    suggest: "Callable[[Trial], dict[str, Any]]"
    transformers: Callable[[], list[TransformerMixin]]
    classifier: Callable[[dict[str, Any], Sequence[str], int], BaseEstimator]

    def build(self, params: dict[str, Any], names: Sequence[str], seed: int) -> BaseEstimator:
        """Build an unfitted model.

        Args:
            params: Hyperparameters.
            names: Names of the inputs.
            seed: Seed of the classifier.

        Returns:
            Pipeline, or the classifier alone when the family has no transformers.
        """
        steps = [*self.transformers(), self.classifier(params, names, seed)]
        return make_pipeline(*steps) if len(steps) > 1 else steps[0]


def _logistic(params: dict[str, Any], names: Sequence[str], seed: int) -> BaseEstimator:
    return LogisticRegression(**params, max_iter=2000)


def _boosting(params: dict[str, Any], names: Sequence[str], seed: int) -> BaseEstimator:
    return HistGradientBoostingClassifier(
        **params,
        early_stopping=False,  # its random hold-out would mix the cut-offs
        interaction_cst="no_interactions",  # a generalized additive model (Lou, Caruana and Gehrke, 2012)
        monotonic_cst=[int(name in _INCREASING) for name in names],
        random_state=seed,
    )


FAMILIES = {
    "logistic": Family(
        name="logistic",
        complexity=0,
        defaults={"C": 0.01},
        suggest=lambda trial: {"C": trial.suggest_float("C", 1e-3, 10, log=True)},
        transformers=lambda: [
            FunctionTransformer(np.arcsinh),  # like a logarithm, but defined for zero and negative amounts
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
        ],
        classifier=_logistic,
    ),
    "boosting": Family(
        name="boosting",
        complexity=1,
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
        transformers=list,
        classifier=_boosting,
    ),
}


def describe_model(family: str, params: dict[str, Any]) -> str:
    """Describe a model in a few words, such as ``logistic C=0.001``.

    Args:
        family: Name of the family.
        params: Hyperparameters.

    Returns:
        Description.
    """
    return " ".join([family, *(f"{name}={value:.3g}" for name, value in params.items())])
