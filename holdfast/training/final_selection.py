"""Selection of the shipped family and calibration on the test rows, which can veto the choice of the folds."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from holdfast.core.types import Floats
from holdfast.training.bootstrap import CustomerBootstrap, bootstrap_rows, compare_means
from holdfast.training.dataset import TrainingSet
from holdfast.training.fitting import fit_model, fit_recipe, predict_churn
from holdfast.training.metrics import log_loss_per_row
from holdfast.training.model_families import find_family
from holdfast.training.model_selection import ModelChoice, choose_model
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import TimeSplit


def veto_on_test(
    choice: ModelChoice, data: TrainingSet, training: TrainingSettings, outcome_days: int
) -> tuple[ModelChoice, Any]:
    """Fit the choice, and replace it by another family if the test rows show a reason.

    The folds overestimate the winner of many trials on the same folds, and cannot see the level. Of all families, the
    simplest ships that no other beats in log loss on the test rows, level included: by more than one standard error
    where the other is the choice or a simpler family, surely (95%) where it is more complex than the choice. A
    calibration ships if it is better than none by more than one standard error, or if the settings fix it.

    Args:
        choice: Choice made on the folds.
        data: Training set.
        training: Training settings.
        outcome_days: Days from a cut-off until its outcomes are known.

    Returns:
        Shipped choice with its measured gain, and its model fitted on the development rows.
    """
    test = data.at_cutoffs(choice.recipe.test)
    bootstrap = bootstrap_rows(test.keys, training.resamples, training.seed)
    choice, model = _veto_calibration(choice, data, training, test, bootstrap)
    recipe, trials = choice.recipe, {trial.family: trial for trial in (choice.trial, *choice.rivals)}
    development = data.at_cutoffs(recipe.development)

    def measure_loss(fitted: Any) -> Floats:
        return log_loss_per_row(test.y, predict_churn(fitted, test.x))

    losses = {recipe.family: measure_loss(model)} | {
        trial.family: measure_loss(fit_model(trial.family, trial.params, development, recipe.seed))
        for trial in choice.rivals
    }
    shipped = trials[_find_unbeaten(recipe.family, losses, bootstrap)]
    if shipped is not choice.trial:
        difference = compare_means(losses[recipe.family], losses[shipped.family], bootstrap)
        reason = (
            f"{choice.reason} On the test rows {shipped.name} is the simplest family that no other beats, and ships "
            f"instead of {choice.trial.name} ({difference})."
        )
        split = TimeSplit(recipe.folds, recipe.development, recipe.test)
        switched = choose_model([shipped], data, split, training, outcome_days)
        rivals = tuple(trial for trial in trials.values() if trial is not shipped)
        choice, model = _veto_calibration(
            replace(switched, reason=reason, rivals=rivals), data, training, test, bootstrap
        )
        losses[shipped.family] = measure_loss(model)
    gains = [compare_means(losses[rival.family], losses[shipped.family], bootstrap).interval for rival in choice.rivals]
    return replace(choice, gain=min(gains, key=lambda gain: gain.value, default=None)), model


def _find_unbeaten(chosen: str, losses: Mapping[str, Floats], bootstrap: CustomerBootstrap) -> str:
    """Find the simplest family that no other beats; the family with the lowest mean loss is one."""
    order = sorted(losses, key=lambda name: find_family(name).complexity)
    confirmed = order[: order.index(chosen) + 1]

    def beats(other: str, name: str) -> bool:
        difference = compare_means(losses[name], losses[other], bootstrap)
        if other in confirmed:
            return difference.mean > difference.standard_error
        return difference.mean > 0 and difference.interval.low > 0

    return next(name for name in order if not any(beats(other, name) for other in order if other != name))


def _veto_calibration(
    choice: ModelChoice, data: TrainingSet, training: TrainingSettings, test: TrainingSet, bootstrap: CustomerBootstrap
) -> tuple[ModelChoice, Any]:
    """Fit the choice, without its calibration unless that is better on the test rows by one standard error."""
    recipe, model = choice.recipe, fit_recipe(choice.recipe, data, folds=choice.trial.scores)
    if recipe.calibration == "none" or training.calibration != "auto":
        return choice, model
    plain = model.classifier
    gain = compare_means(
        log_loss_per_row(test.y, predict_churn(plain, test.x)),
        log_loss_per_row(test.y, predict_churn(model, test.x)),
        bootstrap,
    )
    if gain.mean > gain.standard_error:
        return choice, model
    calibration = replace(
        choice.calibration,
        method="none",
        reason=f"{choice.calibration.reason} On the test rows {recipe.calibration} is not better than none by more "
        f"than one standard error ({gain}): none is used.",
    )
    return replace(choice, recipe=recipe.model_copy(update={"calibration": "none"}), calibration=calibration), plain
