"""Evaluation of a fitted model on the test period, compared with the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import brier_score_loss, roc_auc_score

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.training.bootstrap import CustomerBootstrap, percentile_interval, roc_auc_draws
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Evaluation, Interval, MonthResult, SliceResult
from holdfast.training.fitting import fit_model, fit_recipe, predict_churn
from holdfast.training.metrics import compute_metric_intervals, compute_metrics, roc_auc_difference
from holdfast.training.model_families import describe_model
from holdfast.training.model_selection import ModelChoice, choose_model
from holdfast.training.permutation_importance import compute_permutation_importance
from holdfast.training.profit import estimate_profit
from holdfast.training.recipe import Recipe
from holdfast.training.settings import Slice, TrainingSettings
from holdfast.training.time_split import TimeSplit

_REFITS = 6
_UNKNOWN_GROUP = "unknown"


def evaluate_model(
    model: object,
    scores: Mapping[str, Floats],
    development: TrainingSet,
    test: TrainingSet,
    choice: ModelChoice,
    training: TrainingSettings,
) -> Evaluation:
    """Evaluate a fitted model on the test rows.

    Args:
        model: Fitted model.
        scores: "model" and each baseline to its scores of the test rows, shape (rows,).
        development: Rows on which the model was fitted.
        test: Test rows.
        choice: Chosen recipe, with its measured gain over the simplest family.
        training: Value of offers, slices, resamples and seed.

    Returns:
        Evaluation report.
    """
    assert choice.simplest is None or choice.gain is not None
    bootstrap = CustomerBootstrap(test.keys["customer_id"].to_numpy(), training.resamples, training.seed)
    model_scores, recipe = scores["model"], choice.recipe
    return Evaluation(
        rows=len(test.y),
        customers=int(test.keys["customer_id"].nunique()),
        cutoffs=list(recipe.test),
        base_rate=float(test.y.mean()),
        family=recipe.family,
        chosen=describe_model(recipe.family, recipe.params),
        reason=choice.reason,
        simpler=choice.gain,
        metrics={name: compute_metric_intervals(test.y, values, bootstrap) for name, values in scores.items()},
        over_baselines={
            name: roc_auc_difference(test.y, model_scores, values, bootstrap)
            for name, values in scores.items()
            if name != "model"
        },
        months=_evaluate_months(test, scores, bootstrap),
        slices=[
            result for group in training.slices for result in _evaluate_slice(group, test, model_scores, bootstrap)
        ],
        calibration=recipe.calibration,
        calibration_reason=choice.calibration.reason,
        calibration_methods=choice.calibration.methods,
        value=estimate_profit(test.y, model_scores, recipe.threshold, training.value, bootstrap),
        importance=compute_permutation_importance(lambda x: predict_churn(model, x), test, training.seed),
        instability=_measure_instability(recipe, development, test, training.seed),
    )


class UnknownInputError(HoldfastError):
    """The settings name an unknown model input."""


def require_slice_inputs(slices: Sequence[Slice], inputs: Sequence[str]) -> None:
    """Check that every slice is defined by a model input.

    Args:
        slices: Slices of the settings.
        inputs: Names of the model inputs.

    Raises:
        UnknownInputError: A slice is defined by an unknown input.
    """
    for group in slices:
        if group.feature not in inputs:
            raise UnknownInputError(
                f"slices: {group.feature!r} is no input of the model. Its inputs: {', '.join(sorted(inputs))}."
            )


def veto_on_test(
    choice: ModelChoice, model: Any, data: TrainingSet, training: TrainingSettings, horizon_days: int
) -> tuple[ModelChoice, Any]:
    """Replace the choice by the simplest family unless the choice is significantly better on the test rows.

    The folds overestimate the winner of many trials on the same folds; the test rows have this one veto.

    Args:
        choice: Choice made on the folds.
        model: Fitted model of the choice.
        data: Training set.
        training: Training settings.
        horizon_days: Horizon of the label in days.

    Returns:
        Shipped choice with its measured gain, and its fitted model.
    """
    choice = _measure_gain(choice, model, data, training)
    recipe, gain = choice.recipe, choice.gain
    if choice.simplest is None or gain is None or gain.low > 0:
        return choice, model
    split = TimeSplit(recipe.folds, recipe.development, recipe.test)
    simpler = choose_model([choice.simplest], data, split, training, horizon_days)
    reason = (
        f"{choice.reason} On the test rows it is not significantly better than {choice.simplest.name} (ROC-AUC "
        f"{gain.value:+.4f}, 95% interval {gain.low:+.4f} to {gain.high:+.4f}): the simpler model ships."
    )
    return replace(simpler, reason=reason), fit_recipe(simpler.recipe, data)


def _measure_gain(choice: ModelChoice, model: Any, data: TrainingSet, training: TrainingSettings) -> ModelChoice:
    """Measure the ROC-AUC gain over the simplest family on the test rows; none if that family was chosen."""
    if choice.simplest is None:
        return choice
    recipe, test = choice.recipe, data.at_cutoffs(choice.recipe.test)
    simplest = fit_model(
        choice.simplest.family, choice.simplest.params, data.at_cutoffs(recipe.development), recipe.seed
    )
    bootstrap = CustomerBootstrap(test.keys["customer_id"].to_numpy(), training.resamples, training.seed)
    difference = roc_auc_difference(test.y, predict_churn(model, test.x), predict_churn(simplest, test.x), bootstrap)
    return replace(choice, gain=difference)


def _evaluate_months(
    test: TrainingSet, scores: Mapping[str, Floats], bootstrap: CustomerBootstrap
) -> list[MonthResult]:
    months = []
    for cutoff in test.keys["cutoff"].unique():
        rows = (test.keys["cutoff"] == cutoff).to_numpy()
        churned, model_scores = test.y[rows], scores["model"][rows]
        months.append(
            MonthResult(
                cutoff=cutoff,
                rows=int(rows.sum()),
                base_rate=float(churned.mean()),
                mean_score=float(model_scores.mean()),
                metrics=compute_metric_intervals(churned, model_scores, bootstrap.subset(rows)),
                baselines={
                    name: compute_metrics(churned, values[rows]) for name, values in scores.items() if name != "model"
                },
            )
        )
    return months


def _assign_groups(group: Slice, values: Floats) -> npt.NDArray[np.intp]:
    """Assign rows to the groups of a slice; rows without a value form an additional last group."""
    known = ~np.isnan(values)
    numbers = np.full(len(values), len(group.labels))
    if known.any():
        edges = group.edges or np.quantile(values[known], np.linspace(0, 1, len(group.labels) + 1)[1:-1])
        numbers[known] = np.searchsorted(edges, values[known], side="right")
    return numbers


def _evaluate_slice(group: Slice, test: TrainingSet, scores: Floats, bootstrap: CustomerBootstrap) -> list[SliceResult]:
    """Evaluate a model in each group of customers that has rows."""
    overall = roc_auc_draws(test.y, scores, bootstrap)
    overall_value = float(roc_auc_score(test.y, scores))
    numbers = _assign_groups(group, test.column(group.feature))
    results = []
    for number, label in enumerate([*group.labels, _UNKNOWN_GROUP]):
        rows = numbers == number
        if not rows.any():
            continue
        churned, group_scores = test.y[rows], scores[rows]
        roc_auc = gap = None
        if 0 < churned.mean() < 1:
            draws = roc_auc_draws(churned, group_scores, bootstrap.subset(rows))
            roc_auc = percentile_interval(float(roc_auc_score(churned, group_scores)), draws)
            gap = percentile_interval(overall_value - roc_auc.value, overall - draws)
        results.append(
            SliceResult(
                feature=group.feature,
                label=label,
                rows=int(rows.sum()),
                base_rate=float(churned.mean()),
                mean_score=float(group_scores.mean()),
                roc_auc=roc_auc,
                gap=gap,
                brier=float(brier_score_loss(churned, group_scores, labels=[False, True])),
            )
        )
    return results


def _measure_instability(recipe: Recipe, development: TrainingSet, test: TrainingSet, seed: int) -> Interval:
    """Measure the mean absolute change of a test row's probability when the model is fitted on resampled customers.

    The ends are the smallest and the largest mean of a refit. Uncalibrated probabilities are compared, because the
    measure concerns the fit.
    """
    expected = predict_churn(fit_model(recipe.family, recipe.params, development, recipe.seed), test.x)
    bootstrap = CustomerBootstrap(development.keys["customer_id"].to_numpy(), _REFITS, seed)
    changes = []
    for weights in bootstrap.weights:
        rows = np.repeat(np.arange(len(development.y)), weights)
        refitted = fit_model(recipe.family, recipe.params, development.take(rows), recipe.seed)
        changes.append(np.abs(predict_churn(refitted, test.x) - expected).mean())
    return Interval(value=float(np.mean(changes)), low=float(min(changes)), high=float(max(changes)))
