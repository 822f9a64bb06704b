"""Selection of the model family on the folds, never on the test rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sklearn.metrics import roc_auc_score

from holdfast.core.errors import HoldfastError
from holdfast.training.bootstrap import CustomerBootstrap, percentile_interval, roc_auc_draws
from holdfast.training.calibration import CalibrationChoice, FoldScores, choose_calibration
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import Interval
from holdfast.training.fitting import score_out_of_fold
from holdfast.training.hyperparameter_search import SearchTrial
from holdfast.training.model_families import describe_model, list_families
from holdfast.training.profit import optimal_threshold
from holdfast.training.recipe import Recipe
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import TimeSplit


@dataclass(frozen=True)
class ModelChoice:
    """Chosen model.

    Attributes:
        recipe: Recipe of the model.
        reason: Explanation of the choice of the family.
        simplest: Best trial of the simplest family; None when the simplest family was chosen.
        calibration: Chosen calibration.
        gain: ROC-AUC gain over ``simplest`` on the test rows; None until the gain is measured.
    """

    recipe: Recipe
    reason: str
    simplest: SearchTrial | None
    calibration: CalibrationChoice
    gain: Interval | None = None


class SingleClassError(HoldfastError):
    """All rows of a period have the same outcome."""


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
                    f"No customer was active at the {period} cut-offs ({dates}): nobody bought before them within "
                    "HOLDFAST_ACTIVITY_DAYS. Ingest the missing transactions, or choose an as_of before the gap."
                )
            raise SingleClassError(
                f"Of the {len(rows)} {period} rows ({dates}) {rows.sum()} churned: a model needs both outcomes. Ingest "
                "more history, or choose another HOLDFAST_HORIZON_DAYS."
            )
    folds = [fold for fold in split.folds if has_both(*fold.fit) and has_both(fold.validation)]
    return TimeSplit(tuple(folds), split.development, split.test)


def choose_model(
    best: Sequence[SearchTrial], data: TrainingSet, split: TimeSplit, training: TrainingSettings, horizon_days: int
) -> ModelChoice:
    """Choose the simplest family that no other family beats by more than noise, its calibration and threshold.

    Args:
        best: Best trial of each family, simplest first; empty without folds.
        data: Training set.
        split: Split of the cut-offs.
        training: Training settings.
        horizon_days: Horizon of the label in days.

    Returns:
        Choice, without its measured gain.
    """
    if best:
        chosen, folds, reason = _choose_family(best, data, split, training)
        family, params, simpler = chosen.family, chosen.params, None if chosen is best[0] else best[0]
    else:
        simplest = list_families(data)[0]
        family, params, folds, simpler = simplest.name, simplest.defaults, [], None
        reason = "Too little history to compare candidates: the simplest family with its defaults ships."
    calibration = choose_calibration(folds, horizon_days, training.resamples, training.seed)
    recipe = Recipe(
        family=family,
        params=params,
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
    return ModelChoice(recipe, reason, simpler, calibration)


def _choose_family(
    best: Sequence[SearchTrial], data: TrainingSet, split: TimeSplit, training: TrainingSettings
) -> tuple[SearchTrial, list[FoldScores], str]:
    scored = [score_out_of_fold(trial.family, trial.params, data, split.folds, training.seed) for trial in best]
    chosen, reasons = 0, []
    for rival in range(1, len(best)):
        difference = _mean_roc_auc_difference(scored[rival], scored[chosen], training)
        wins = difference.low > 0
        verdict = "beats" if wins else "does not beat"
        reasons.append(
            f"{describe_model(best[rival].family, best[rival].params)} {verdict} "
            f"{describe_model(best[chosen].family, best[chosen].params)} on {len(split.folds)} folds (ROC-AUC "
            f"{difference.value:+.4f}, 95% interval {difference.low:+.4f} to {difference.high:+.4f})"
            f"{'' if wins else ': the simpler model ships'}"
        )
        chosen = rival if wins else chosen
    return best[chosen], scored[chosen], "; ".join(reasons) + "."


def _mean_roc_auc_difference(
    left: Sequence[FoldScores], right: Sequence[FoldScores], training: TrainingSettings
) -> Interval:
    """Average the ROC-AUC of ``left`` minus that of ``right`` over the folds, with the same draws for all folds."""
    customers = np.concatenate([fold.validation.keys["customer_id"].to_numpy() for fold in left])
    fold_of_row = np.repeat(np.arange(len(left)), [len(fold.log_odds) for fold in left])
    bootstrap = CustomerBootstrap(customers, training.resamples, training.seed)
    values, draws = [], []
    for number, (fold, other) in enumerate(zip(left, right, strict=True)):
        drawn, churned = bootstrap.subset(fold_of_row == number), fold.validation.y
        values.append(roc_auc_score(churned, fold.log_odds) - roc_auc_score(churned, other.log_odds))
        draws.append(roc_auc_draws(churned, fold.log_odds, drawn) - roc_auc_draws(churned, other.log_odds, drawn))
    return percentile_interval(float(np.mean(values)), np.mean(draws, axis=0))
