"""Selection of the model family on the folds, never on the test rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd

from holdfast.core.formatting import format_count
from holdfast.training.bootstrap import (
    CustomerBootstrap,
    bootstrap_rows,
    compare_means,
    mean_draws,
    percentile_interval,
)
from holdfast.training.calibration import CalibrationChoice, FoldScores, choose_calibration
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import FoldResult, Interval
from holdfast.training.fitting import score_out_of_fold
from holdfast.training.hyperparameter_search import SearchTrial, default_trial, describe_bounds
from holdfast.training.metrics import average_monthly_roc_auc, level_free_log_loss
from holdfast.training.model_families import find_family, list_families
from holdfast.training.profit import optimal_threshold
from holdfast.training.recipe import BASE_RATE, Recipe
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import SingleClassError, TimeSplit


@dataclass(frozen=True)
class ModelChoice:
    """Chosen model.

    Attributes:
        recipe: Recipe of the model.
        trial: Best trial of the chosen family.
        reason: Explanation of the choice of the family.
        rivals: Best trials of the other families, simplest first; one of them ships when the test vetoes the choice.
        calibration: Chosen calibration.
        folds: Result of the family on the folds; None without folds.
        notes: Hyperparameters whose best value lies on a bound of the search.
        gain: Log loss of the best rival minus that of the model on the test rows; None until it is measured, and
            without rivals.
    """

    recipe: Recipe
    trial: SearchTrial
    reason: str
    rivals: tuple[SearchTrial, ...]
    calibration: CalibrationChoice
    folds: FoldResult | None = None
    notes: tuple[str, ...] = ()
    gain: Interval | None = None


def drop_single_class_folds(split: TimeSplit, data: TrainingSet) -> TimeSplit:
    """Drop the folds in which all fitted rows, or all validation rows, have the same outcome.

    Args:
        split: Split of the cut-offs.
        data: Training set.

    Returns:
        Split with the remaining folds.

    Raises:
        SingleClassError: All development rows or all test rows have the same outcome.
    """

    def has_both(*cutoffs: datetime) -> bool:
        return 0 < data.at_cutoffs(cutoffs).y.sum() < len(data.at_cutoffs(cutoffs).y)

    for period, cutoffs in (("development", split.development), ("test", split.test)):
        if not has_both(*cutoffs):
            rows, dates = data.at_cutoffs(cutoffs).y, f"{cutoffs[0]:%Y-%m-%d} to {cutoffs[-1]:%Y-%m-%d}"
            if not len(rows):
                raise SingleClassError(
                    f"No customer was active at the {period} cut-offs ({dates}): no customer bought before them within "
                    "HOLDFAST_ACTIVITY_DAYS. Ingest the missing transactions, or choose an as_of before the gap."
                )
            count = format_count(len(rows), f"{period} row")
            raise SingleClassError(
                f"Of the {count} ({dates}) {rows.sum():,} churned: a model needs both outcomes. Ingest more history, "
                "or choose another HOLDFAST_HORIZON_DAYS."
            )
    folds = [fold for fold in split.folds if has_both(*fold.fit) and has_both(fold.validation)]
    return replace(split, folds=tuple(folds))


def choose_model(
    best: Sequence[SearchTrial], data: TrainingSet, split: TimeSplit, training: TrainingSettings, outcome_days: int
) -> ModelChoice:
    """Choose the simplest family within one standard error of the best, its calibration and threshold.

    Args:
        best: Best trial of each family, simplest first; empty for the defaults.
        data: Training set.
        split: Split of the cut-offs.
        training: Training settings.
        outcome_days: Days from a cut-off until its outcomes are known.

    Returns:
        Choice, without its measured gain.
    """
    number, folds, result = 0, list[FoldScores](), None
    if best and split.folds:
        number, folds, reason = _choose_family(best, data, split, training)
        result = _measure_folds(folds, training)
    else:
        constant = training.family == BASE_RATE
        families = [find_family(BASE_RATE)] if constant else list_families(data, training.candidates)
        best = best or [default_trial(family) for family in families]
        reason = (
            "One probability for all customers, by request."
            if constant
            else "Too little history to compare candidates: the simplest family with its defaults, unless the test "
            "shows another to be better."
        )
    trial = best[number]
    calibration = choose_calibration(folds, outcome_days, training.resamples, training.seed, training.calibration)
    recipe = Recipe(
        family=trial.family,
        params=trial.params,
        calibration=calibration.method,
        seed=training.seed,
        threshold=optimal_threshold(training.value),
        folds=split.folds,
        development=split.development,
        test=split.test,
        digests={
            "development": data.at_cutoffs(split.development).digests(),
            "test": data.at_cutoffs(split.test).digests(),
        },
    )
    rivals = (*best[:number], *best[number + 1 :])
    return ModelChoice(recipe, trial, reason, rivals, calibration, result, tuple(describe_bounds(best)))


def _choose_family(
    best: Sequence[SearchTrial], data: TrainingSet, split: TimeSplit, training: TrainingSettings
) -> tuple[int, list[FoldScores], str]:
    """Choose by the one-standard-error rule (Breiman et al., 1984) on the log loss without the level.

    The standard error is that of the difference to the best family, over resampled customers and months. A 95% interval
    would ask for proof of a difference between models that serve equally well: with a few months it keeps the simplest
    family where another one is better by far.
    """
    scored = [
        list(trial.scores or score_out_of_fold(trial.family, trial.params, data, split.folds, training.seed))
        for trial in best
    ]
    losses = [
        np.concatenate([level_free_log_loss(fold.validation.y, fold.log_odds) for fold in folds]) for folds in scored
    ]
    bootstrap = _pool_folds(scored[0], training)
    lowest = int(np.argmin([loss.mean() for loss in losses]))
    reasons = [f"{best[lowest].name} has the lowest log loss on {format_count(len(split.folds), 'fold')}"]
    for number, (trial, loss) in enumerate(zip(best[:lowest], losses, strict=False)):
        difference = compare_means(loss, losses[lowest], bootstrap)
        within = difference.mean <= difference.standard_error
        reasons.append(f"{trial.name} is {'' if within else 'not '}within one standard error of it ({difference})")
        if within:
            return number, scored[number], "; ".join(reasons) + ": the simpler model is chosen."
    return lowest, scored[lowest], "; ".join(reasons) + "."


def _pool_folds(folds: Sequence[FoldScores], training: TrainingSettings) -> CustomerBootstrap:
    keys = pd.concat([fold.validation.keys for fold in folds], ignore_index=True)
    return bootstrap_rows(keys, training.resamples, training.seed)


def _measure_folds(folds: Sequence[FoldScores], training: TrainingSettings) -> FoldResult:
    """Measure ROC-AUC and log loss of a family on the folds, without the level."""
    bootstrap = _pool_folds(folds, training)
    churned = np.concatenate([fold.validation.y for fold in folds])
    base = np.concatenate([level_free_log_loss(fold.validation.y, np.zeros(len(fold.log_odds))) for fold in folds])
    gain = base - np.concatenate([level_free_log_loss(fold.validation.y, fold.log_odds) for fold in folds])
    number = np.repeat(np.arange(len(folds)), [len(fold.log_odds) for fold in folds])
    log_odds = np.concatenate([fold.log_odds for fold in folds])
    return FoldResult(
        months=len(folds),
        rows=len(churned),
        roc_auc=average_monthly_roc_auc(churned, log_odds, number, bootstrap),
        log_loss_gain=percentile_interval(float(gain.mean()), mean_draws(gain, bootstrap)),
    )
