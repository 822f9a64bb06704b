"""Whether probabilities need calibration, judged on folds later than those it was fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from scipy.special import logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from holdfast.core.types import Bools, Floats
from holdfast.models.calibrated_classifier import apply_calibrator
from holdfast.training.bootstrap import CustomerBootstrap, mean_draws, percentile_interval
from holdfast.training.evaluation_report import CalibrationMethod
from holdfast.training.metrics import compute_metrics, row_log_loss
from holdfast.training.recipe import Calibration

if TYPE_CHECKING:
    from holdfast.training.fitting import FoldScores

CALIBRATION_METHODS: tuple[Calibration, ...] = get_args(Calibration)  # from the simplest to the most complex


@dataclass(frozen=True)
class CalibrationChoice:
    """The method that ships and, in one sentence, why."""

    method: Calibration
    reason: str
    methods: list[CalibrationMethod]


def fit_calibrator(method: Calibration, log_odds: Floats, churned: Bools) -> Any:
    """A fitted map from log-odds to probability that never falls; None for "none".

    Where higher log-odds went with less churn, the best sigmoid that does not fall is the base rate for all.
    """
    if method == "sigmoid":
        sigmoid = LogisticRegression(C=1e9).fit(log_odds.reshape(-1, 1), churned)
        if sigmoid.coef_[0, 0] < 0:
            sigmoid.coef_[:], sigmoid.intercept_[:] = 0.0, logit(churned.mean())
        return sigmoid
    if method == "isotonic":
        return IsotonicRegression(out_of_bounds="clip").fit(log_odds, churned)
    return None


def choose_calibration(
    folds: "Sequence[FoldScores]", horizon_days: int, resamples: int, seed: int
) -> CalibrationChoice:
    """The simplest method whose log loss no other undercuts by more than noise.

    Each fold is predicted by calibrators fitted on the folds whose outcomes were known by then; the base rate may
    have moved in between, as it will in production.
    """
    judged = [(fold, earlier) for fold in folds if (earlier := _closed_before(folds, fold, horizon_days))]
    if not judged:
        return CalibrationChoice("none", "Too little history to compare calibrations: none is used.", [])
    churned = np.concatenate([fold.validation.y for fold, _ in judged])
    customers = np.concatenate([fold.validation.keys["customer_id"].to_numpy() for fold, _ in judged])
    bootstrap = CustomerBootstrap(customers, resamples, seed)
    scores = {method: np.concatenate([_calibrated(method, *pair) for pair in judged]) for method in CALIBRATION_METHODS}
    losses = {method: row_log_loss(churned, values) for method, values in scores.items()}

    def gain(over: Calibration, method: Calibration) -> Any:
        saved = losses[over] - losses[method]
        return percentile_interval(float(saved.mean()), mean_draws(saved, bootstrap))

    chosen: Calibration = "none"
    reasons = []
    for rival in CALIBRATION_METHODS[1:]:
        saved = gain(chosen, rival)
        wins = saved.low > 0
        reasons.append(
            f"{rival} {'is better than' if wins else 'does not better'} {chosen} "
            f"(log loss lower by {saved.value:.4f}, 95% interval {saved.low:.4f} to {saved.high:.4f})"
        )
        chosen = rival if wins else chosen
    compared = []
    for method in CALIBRATION_METHODS:
        told = compute_metrics(churned, scores[method])
        compared.append(
            CalibrationMethod(
                method=method,
                brier=told["brier"],
                log_loss=told["log_loss"],
                ece=told["ece"],
                gain=None if method == "none" else gain("none", method),
            )
        )
    return CalibrationChoice(chosen, "; ".join(reasons) + ".", compared)


def _closed_before(folds: "Sequence[FoldScores]", fold: "FoldScores", horizon_days: int) -> "list[FoldScores]":
    start, horizon = fold.validation.keys["cutoff"].iloc[0], timedelta(days=horizon_days)
    return [item for item in folds if item.validation.keys["cutoff"].iloc[0] + horizon <= start]


def _calibrated(method: Calibration, fold: "FoldScores", earlier: "Sequence[FoldScores]") -> Floats:
    log_odds = np.concatenate([item.log_odds for item in earlier])
    churned = np.concatenate([item.validation.y for item in earlier])
    return apply_calibrator(fit_calibrator(method, log_odds, churned), fold.log_odds)
