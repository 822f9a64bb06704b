"""Recipes and trials for tests of training."""

from datetime import datetime
from typing import Any

from holdfast.training.calibration import CalibrationChoice
from holdfast.training.dataset import TrainingSet
from holdfast.training.hyperparameter_search import SearchTrial
from holdfast.training.model_families import FAMILIES, find_family
from holdfast.training.recipe import Recipe
from tests.support.training_sets import default_split, synthetic_training_set

CHOICE = CalibrationChoice("none", "Nothing to compare.", [])


def make_recipe(development: tuple[datetime, ...], test: tuple[datetime, ...], family: str = "logistic") -> Recipe:
    """Build the recipe of a family's defaults, without calibration and folds."""
    return Recipe(
        family=family,
        params=find_family(family).defaults,
        calibration="none",
        seed=0,
        threshold=2 / 3,
        folds=(),
        development=development,
        test=test,
        digests={},
    )


def make_trial(family: str, **params: Any) -> SearchTrial:
    """Build a finished trial of a family's defaults with changed parameters."""
    return SearchTrial(family, 0, FAMILIES[family].defaults | params, [], 0.7, 1.0)


def synthetic_recipe(curvature: float, family: str) -> tuple[TrainingSet, Recipe]:
    """Build rows of 400 customers and a recipe for them."""
    data = synthetic_training_set(customers=400, months=12, curvature=curvature)
    split = default_split(data)
    return data, make_recipe(split.development, split.test, family).model_copy(update={"folds": split.folds})
