"""Fit of the model that ships: the tested recipe on all known outcomes, unless that is another model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit

from holdfast.training.calibration import FoldScores
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import ServedFit
from holdfast.training.fitting import fit_recipe, predict_churn
from holdfast.training.metrics import level_offset, to_log_odds
from holdfast.training.recipe import Recipe
from holdfast.training.settings import TrainingSettings


def refit_after_test(
    recipe: Recipe,
    tested: Any,
    data: TrainingSet,
    training: TrainingSettings,
    folds: Sequence[FoldScores] | None = None,
) -> tuple[Recipe, Any, ServedFit]:
    """Fit the tested recipe again on all known outcomes, and decide which of both models ships.

    The tested model gives away the embargo and the test months. The recipe that the test confirmed is fitted on them
    too. A refit that changes the probabilities of the test rows by more than the limit is another model than the tested
    one, whose figures would not describe it. The level may move: to learn the latest level is what a refit is for.

    Args:
        recipe: Tested recipe.
        tested: Tested model.
        data: Training set at all cut-offs.
        training: Whether to refit, and the limit.
        folds: Out-of-fold scores of the recipe's model, where they are known; None to compute them.

    Returns:
        Recipe of the shipped model, the shipped model, and the record of the decision.
    """
    cutoffs = tuple(cutoff.to_pydatetime() for cutoff in data.keys["cutoff"].drop_duplicates().sort_values())
    if not training.refit:
        reason = "The settings exclude a refit: the tested model ships."
        fit = ServedFit(cutoffs=list(recipe.development), refitted=False, change=None, limit=None, reason=reason)
        return recipe, tested, fit
    refitted = fit_recipe(recipe, data, cutoffs, folds)
    test = data.at_cutoffs(recipe.test)
    before, after = (to_log_odds(predict_churn(model, test.x)) for model in (tested, refitted))
    target = expit(before)
    moved = float((expit(after) - target).mean())
    change = float(np.abs(expit(after + level_offset(target, after)) - target).mean())
    limit = training.max_refit_change
    text = (
        f"the level moves by {moved:+.4f}; apart from it the probabilities of the test rows change by {change:.4f} on "
        f"average, at most {limit:g} is allowed"
    )
    if not change <= limit:
        reason = f"After a refit on all known outcomes {text}: the tested model ships."
        fit = ServedFit(cutoffs=list(recipe.development), refitted=False, change=change, limit=limit, reason=reason)
        return recipe, tested, fit
    reason = f"Tested: fit to {recipe.development[-1]:%Y-%m-%d}; served: refitted to {cutoffs[-1]:%Y-%m-%d} ({text})."
    digests = recipe.digests | {"refit": data.at_cutoffs(cutoffs).digests()}
    shipped = recipe.model_copy(update={"refit": cutoffs, "digests": digests})
    fit = ServedFit(cutoffs=list(cutoffs), refitted=True, change=change, limit=limit, reason=reason)
    return shipped, refitted, fit
