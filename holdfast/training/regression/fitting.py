"""Fit of the recipe of a regression, and its predictions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sklearn.base import BaseEstimator

from holdfast.core.threads import limit_threads
from holdfast.core.types import Floats
from holdfast.training.dataset import TrainingSet
from holdfast.training.recipe import Recipe
from holdfast.training.regression.families import REGRESSION_FAMILIES


def fit_regression_recipe(
    recipe: Recipe, data: TrainingSet, cutoffs: Sequence[datetime] | None = None
) -> BaseEstimator:
    """Fit the model of a recipe; the same recipe and rows give the same model, bit for bit.

    Args:
        recipe: Recipe of the model.
        data: Training set.
        cutoffs: Cut-offs of the rows to fit on; by default the development cut-offs of the recipe.

    Returns:
        Fitted model.
    """
    rows = data.at_cutoffs(recipe.development if cutoffs is None else cutoffs)
    return REGRESSION_FAMILIES[recipe.family].fit(recipe.params, rows, recipe.seed)


def predict_values(model: Any, x: Floats) -> Floats:
    """Predict expected values on one thread.

    Args:
        model: Fitted regressor.
        x: Inputs, shape (rows, inputs).

    Returns:
        Expected values, shape (rows,).
    """
    with limit_threads():
        values: Floats = model.predict(x)
    return values
