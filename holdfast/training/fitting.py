"""Fitting of models: a family on a fold, and a whole recipe."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sklearn.base import BaseEstimator

from holdfast.core.threads import limit_threads
from holdfast.core.types import Floats
from holdfast.models.calibrated_classifier import CalibratedModel
from holdfast.training.calibration import FoldScores, fit_on_folds
from holdfast.training.dataset import TrainingSet
from holdfast.training.model_families import Family, find_family
from holdfast.training.recipe import FoldCutoffs, Recipe


class PreparedFold:
    """Fold of one family; the work that does not depend on the parameters is done once.

    Args:
        family: Model family.
        data: Training set.
        fold: Cut-offs of the fold.
        seed: Seed of the classifier.
    """

    def __init__(self, family: Family, data: TrainingSet, fold: FoldCutoffs, seed: int) -> None:
        self.validation = data.at_cutoffs([fold.validation])
        self._fit, self._seed = family.prepare(data.at_cutoffs(fold.fit)), seed

    def score(self, params: dict[str, Any]) -> FoldScores:
        """Fit a model and score the validation rows. The caller limits the threads.

        Args:
            params: Hyperparameters of the family.

        Returns:
            Scores of the validation rows.
        """
        return FoldScores(self.validation, self._fit(params, self._seed).decision_function(self.validation.x))


def score_out_of_fold(
    family: str, params: dict[str, Any], data: TrainingSet, folds: Sequence[FoldCutoffs], seed: int
) -> list[FoldScores]:
    """Score the validation rows of each fold by a model that is fitted on the fold.

    Args:
        family: Name of the model family.
        params: Hyperparameters of the family.
        data: Training set.
        folds: Cut-offs of the folds.
        seed: Seed of the classifiers.

    Returns:
        Scores per fold.
    """
    with limit_threads():
        return [PreparedFold(find_family(family), data, fold, seed).score(params) for fold in folds]


def fit_model(family: str, params: dict[str, Any], data: TrainingSet, seed: int) -> BaseEstimator:
    """Fit a model on one thread.

    Boosting's threads wait for each other by spinning: on a busy machine two were 20 times slower than one.

    Args:
        family: Name of the model family.
        params: Hyperparameters of the family.
        data: Rows to fit on.
        seed: Seed of the classifier.

    Returns:
        Fitted, uncalibrated model.
    """
    with limit_threads():
        return find_family(family).fit(params, data, seed)


def fit_recipe(
    recipe: Recipe,
    data: TrainingSet,
    cutoffs: Sequence[datetime] | None = None,
    folds: Sequence[FoldScores] | None = None,
) -> BaseEstimator:
    """Fit the model of a recipe and calibrate it: shape from its out-of-fold scores, level from the fitted rows.

    The same recipe and rows give the same model, bit for bit.

    Args:
        recipe: Recipe of the model.
        data: Training set.
        cutoffs: Cut-offs of the rows to fit on; by default the development cut-offs of the recipe.
        folds: Out-of-fold scores of the recipe's model, where they are known; None to compute them.

    Returns:
        Fitted model.
    """
    rows = data.at_cutoffs(recipe.development if cutoffs is None else cutoffs)
    model = fit_model(recipe.family, recipe.params, rows, recipe.seed)
    if recipe.calibration == "none":
        return model
    folds = folds or score_out_of_fold(recipe.family, recipe.params, data, recipe.folds, recipe.seed)
    with limit_threads():
        log_odds = model.decision_function(rows.x)
    return CalibratedModel(model, fit_on_folds(recipe.calibration, folds, log_odds, rows.y))


def predict_churn(model: Any, x: Floats) -> Floats:
    """Predict churn probabilities on one thread.

    Args:
        model: Fitted model.
        x: Inputs, shape (rows, inputs).

    Returns:
        Probabilities, shape (rows,).
    """
    with limit_threads():
        return model.predict_proba(x)[:, 1]
