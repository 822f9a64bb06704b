"""Evaluation of a fitted model on the test period, compared with the baselines."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit
from sklearn.metrics import brier_score_loss, roc_auc_score

from holdfast.core.errors import HoldfastError
from holdfast.core.threads import limit_threads
from holdfast.core.types import Bools, Floats
from holdfast.models.categories import category_code, locate_categories
from holdfast.training.baselines import explain_skipped_baselines
from holdfast.training.bootstrap import (
    CustomerBootstrap,
    bootstrap_rows,
    compare_means,
    mean_draws,
    percentile_interval,
    roc_auc_draws,
)
from holdfast.training.category_encoding import learn_codes
from holdfast.training.dataset import PurchaseHistory, TrainingSet
from holdfast.training.evaluation_report import (
    Evaluation,
    Interval,
    LevelResult,
    MonthResult,
    ServedFit,
    SliceResult,
)
from holdfast.training.fitting import fit_model, predict_churn
from holdfast.training.level import choose_threshold
from holdfast.training.metrics import (
    compute_metric_intervals,
    compute_metrics,
    draw_metrics,
    log_loss_per_row,
    summarize_draws,
)
from holdfast.training.model_families import describe_model, find_family
from holdfast.training.model_selection import ModelChoice
from holdfast.training.permutation_importance import compute_permutation_importance
from holdfast.training.profit import estimate_profit
from holdfast.training.recipe import Recipe
from holdfast.training.settings import DEFAULT_SLICES, Slice, TrainingSettings

_REFITS = 6  # fewest of which smallest and largest contain the median of all refits with 95% confidence: 1 - 2 / 2**6
_UNKNOWN_GROUP, _RARE_GROUP, _EMPTY_TEXT = "unknown", "rare ones", "empty"


def evaluate_model(
    model: Any,
    scores: Mapping[str, Floats],
    development: TrainingSet,
    test: TrainingSet,
    choice: ModelChoice,
    training: TrainingSettings,
    served: ServedFit,
    history_days: int,
) -> Evaluation:
    """Evaluate a fitted model on the test rows.

    Args:
        model: Fitted model.
        scores: "model" and each baseline to its scores of the test rows, shape (rows,).
        development: Rows on which the model was fitted.
        test: Test rows.
        choice: Chosen recipe, with its measured gain over the other families.
        training: Value of offers, slices, resamples and seed.
        served: Fit of the model that ships.
        history_days: Days from the first purchase to the end of the latest known outcomes.

    Returns:
        Evaluation report.
    """
    bootstrap = bootstrap_rows(test.keys, training.resamples, training.seed)
    model_scores, recipe = scores["model"], choice.recipe
    losses = {name: log_loss_per_row(test.y, values) for name, values in scores.items()}
    draws = {name: draw_metrics(test.y, values, bootstrap) for name, values in scores.items()}
    metrics = {name: summarize_draws(test.y, values, draws[name]) for name, values in scores.items()}
    baselines = {name: values for name, values in scores.items() if name != "model"}
    level = LevelResult(
        bias=_measure_bias(test.y, model_scores, bootstrap),
        months=len(recipe.test),
        history_days=history_days,
        month_spread=_measure_month_spread(development, test),
    )
    threshold, decisions = choose_threshold(
        recipe.threshold, training.value.decisions, level, predict_churn(model, development.x), model_scores
    )
    return Evaluation(
        rows=len(test.y),
        customers=int(test.keys["customer_id"].nunique()),
        cutoffs=list(recipe.test),
        base_rate=float(test.y.mean()),
        family=recipe.family,
        chosen=describe_model(recipe.family, recipe.params),
        reason=choice.reason,
        over_families=choice.gain,
        metrics=metrics,
        over_baselines={
            name: percentile_interval(
                metrics["model"]["roc_auc"].value - metrics[name]["roc_auc"].value,
                draws["model"]["roc_auc"] - draws[name]["roc_auc"],
            )
            for name in baselines
        },
        log_loss_gains={name: compare_means(losses[name], losses["model"], bootstrap).interval for name in baselines},
        months=_evaluate_months(test, scores, bootstrap),
        slices=[
            result
            for group in training.slices
            if group.feature in test.feature_names
            for result in _evaluate_slice(group, test, scores, bootstrap, draws["model"]["roc_auc"])
        ],
        calibration=recipe.calibration,
        calibration_reason=choice.calibration.reason,
        calibration_methods=choice.calibration.methods,
        value=estimate_profit(test.y, model_scores, threshold, training.value, bootstrap),
        decisions=decisions,
        importance=compute_permutation_importance(lambda x: predict_churn(model, x), test, training.seed),
        instability=_measure_instability(model, recipe, development, test, training.seed),
        folds=choice.folds,
        level=level,
        served=served,
        search_notes=list(choice.notes),
        skipped_baselines=explain_skipped_baselines(test),
        skipped_slices=[group.feature for group in training.slices if group.feature not in test.feature_names],
    )


class UnknownInputError(HoldfastError):
    """The settings name an unknown model input."""


def require_slice_inputs(slices: Sequence[Slice], features: Sequence[str], texts: Collection[str] = ()) -> None:
    """Check that every slice, other than the default ones, is defined by a known feature.

    Args:
        slices: Slices of the settings.
        features: Names of the features of the training set.
        texts: Those of them that are texts.

    Raises:
        UnknownInputError: A slice is defined by an unknown feature, or splits a text at numbers.
    """
    for group in slices:
        if group.feature not in features and group not in DEFAULT_SLICES:
            raise UnknownInputError(
                f"slices: {group.feature!r} is no feature of the training set, which has {', '.join(sorted(features))}."
            )
        if group.feature in features and (group.feature in texts) != group.by_category:
            wrong = "text: leave out edges" if group.feature in texts else "number: give edges"
            raise UnknownInputError(f"slices: {group.feature!r} is a {wrong}, quantiles and labels.")


def _measure_bias(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> Interval:
    """Measure mean predicted minus observed churn."""
    return percentile_interval(float((scores - churned).mean()), mean_draws(scores - churned, bootstrap))


def _measure_month_spread(*parts: TrainingSet) -> float:
    """Measure the largest distance of a month's churn from the mean over the months."""
    rates = pd.concat([pd.Series(part.y).groupby(part.keys["cutoff"].to_numpy()).mean() for part in parts])
    return float((rates - rates.mean()).abs().max())


def _evaluate_months(
    test: TrainingSet, scores: Mapping[str, Floats], bootstrap: CustomerBootstrap
) -> list[MonthResult]:
    months = []
    for cutoff in test.keys["cutoff"].unique():
        rows = (test.keys["cutoff"] == cutoff).to_numpy()
        churned, model_scores, drawn = test.y[rows], scores["model"][rows], bootstrap.one_month(rows)
        months.append(
            MonthResult(
                cutoff=cutoff,
                rows=int(rows.sum()),
                base_rate=float(churned.mean()),
                mean_score=float(model_scores.mean()),
                metrics=compute_metric_intervals(churned, model_scores, drawn),
                baselines={
                    name: compute_metrics(churned, values[rows]) for name, values in scores.items() if name != "model"
                },
                bias=_measure_bias(churned, model_scores, drawn),
            )
        )
    return months


def slice_masks(group: Slice, test: TrainingSet) -> Iterator[tuple[str, Bools]]:
    """Iterate over the groups of a slice that have rows.

    Args:
        group: The slice.
        test: Rows with the feature of the slice.

    Yields:
        Label of a group and its rows, shape (rows,).
    """
    numbers, labels = _assign_groups(group, test.column(group.feature)), group.labels
    if group.by_category:
        numbers, labels = _assign_categories(group.feature, test)
    for number, label in enumerate([*labels, _UNKNOWN_GROUP]):
        if (rows := numbers == number).any():
            yield label, rows


def _assign_groups(group: Slice, values: Floats) -> npt.NDArray[np.intp]:
    """Assign rows to the groups of a slice; rows without a value form an additional last group."""
    known = ~np.isnan(values)
    numbers = np.full(len(values), len(group.labels))
    if known.any():
        edges = group.edges or np.quantile(values[known], np.linspace(0, 1, len(group.labels) + 1)[1:-1])
        numbers[known] = np.searchsorted(edges, values[known], side="right")
    return numbers


def _assign_categories(name: str, rows: TrainingSet) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Assign rows to their category, with its label; rare ones form a group, and so do rows without one."""
    codes = learn_codes(rows, name)
    texts = {category_code(text): text for text in rows.texts[name]}
    labels = [texts[code] or _EMPTY_TEXT for code in codes.tolist()]
    return locate_categories(rows.column(name), codes), [*labels, _RARE_GROUP]


def _evaluate_slice(
    group: Slice, test: TrainingSet, scores: Mapping[str, Floats], bootstrap: CustomerBootstrap, overall: Floats
) -> list[SliceResult]:
    """Evaluate a model in each group of customers that has rows, beside the best simple model of the group."""
    overall_value = float(roc_auc_score(test.y, scores["model"]))
    results = []
    for label, rows in slice_masks(group, test):
        churned, group_scores, drawn = test.y[rows], scores["model"][rows], bootstrap.subset(rows)
        roc_auc = gap = best_simple = behind_simple = None
        if 0 < churned.mean() < 1:
            draws = roc_auc_draws(churned, group_scores, drawn)
            roc_auc = percentile_interval(float(roc_auc_score(churned, group_scores)), draws)
            gap = percentile_interval(overall_value - roc_auc.value, overall - draws)
            simple = {
                name: float(roc_auc_score(churned, values[rows])) for name, values in scores.items() if name != "model"
            }
            if simple:
                best_simple = max(simple, key=lambda name: simple[name])
                simple_draws = roc_auc_draws(churned, scores[best_simple][rows], drawn)
                behind_simple = percentile_interval(simple[best_simple] - roc_auc.value, simple_draws - draws)
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
                bias=_measure_bias(churned, group_scores, drawn),
                months=int(test.keys["cutoff"][rows].nunique()),
                best_simple=best_simple,
                behind_simple=behind_simple,
            )
        )
    return results


def _measure_instability(
    model: Any, recipe: Recipe, development: TrainingSet, test: TrainingSet, seed: int
) -> Interval:
    """Measure the mean absolute change of a test row's probability when the model is fitted on resampled customers.

    The ends are the smallest and the largest mean of a refit: an interval for the median refit that assumes no
    distribution (Thompson, 1936), with a confidence of 97%. Uncalibrated probabilities are compared, because the
    measure concerns the fit.
    """
    expected = _predict_uncalibrated(model, test.x)
    bootstrap = CustomerBootstrap(development.keys["customer_id"].to_numpy(), _REFITS, seed)
    changes = []
    latest = development.keys["cutoff"].max() if find_family(recipe.family).uses_history else None
    generator = np.random.default_rng(seed)
    for weights in bootstrap.weights:
        resampled = development.take(np.repeat(np.arange(len(development.y)), weights))
        if latest is not None:
            history = _resample(development.histories[latest], generator)
            resampled = replace(resampled, histories={latest: history})
        refitted = fit_model(recipe.family, recipe.params, resampled, recipe.seed)
        changes.append(np.abs(_predict_uncalibrated(refitted, test.x) - expected).mean())
    return Interval(value=float(np.mean(changes)), low=float(min(changes)), high=float(max(changes)))


def _predict_uncalibrated(model: Any, x: Floats) -> Floats:
    with limit_threads():
        churn: Floats = expit(model.decision_function(x))
    return churn


def _resample(history: PurchaseHistory, generator: np.random.Generator) -> PurchaseHistory:
    """Draw customers of a purchase history with replacement, from which a purchase model learns instead of the rows."""
    drawn = generator.choice(len(history.age), len(history.age)) if len(history.age) else np.empty(0, dtype=np.intp)
    return PurchaseHistory(*(values[drawn] for values in history))
