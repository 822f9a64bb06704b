"""Calibration of probabilities, chosen on folds later than those of the fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args

import numpy as np
from scipy.special import logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from holdfast.core.types import Bools, Floats
from holdfast.models.calibrated_classifier import apply_calibrator
from holdfast.training.bootstrap import CustomerBootstrap, mean_draws, percentile_interval
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import CalibrationMethod, Interval
from holdfast.training.metrics import compute_metrics, log_loss_per_row
from holdfast.training.recipe import Calibration

CALIBRATION_METHODS: tuple[Calibration, ...] = get_args(Calibration)  # simplest first


@dataclass(frozen=True)
class FoldScores:
    """Scores of a fold's validation rows by a model fitted on the fold.

    Attributes:
        log_odds: Uncalibrated log-odds, shape (rows,).
    """

    validation: TrainingSet
    log_odds: Floats


@dataclass(frozen=True)
class CalibrationChoice:
    """Chosen calibration method.

    Attributes:
        method: Method of the shipped model.
        reason: Explanation in one sentence.
        methods: Performance of every method; empty without enough history.
    """

    method: Calibration
    reason: str
    methods: list[CalibrationMethod]


def fit_calibrator(method: Calibration, log_odds: Floats, churned: Bools) -> Any:
    """Fit a non-decreasing map from log-odds to probability.

    Where higher log-odds went with less churn, the best non-decreasing sigmoid is the base rate for all.

    Args:
        method: Calibration method.
        log_odds: Out-of-fold log-odds, shape (rows,).
        churned: Outcomes, shape (rows,).

    Returns:
        Fitted scikit-learn estimator; None for the method "none".
    """
    if method == "sigmoid":
        sigmoid = LogisticRegression(C=1e9).fit(log_odds.reshape(-1, 1), churned)
        if sigmoid.coef_[0, 0] < 0:
            sigmoid.coef_[:], sigmoid.intercept_[:] = 0.0, logit(churned.mean())
        return sigmoid
    if method == "isotonic":
        return IsotonicRegression(out_of_bounds="clip").fit(log_odds, churned)
    return None


def fit_on_folds(method: Calibration, folds: Sequence[FoldScores]) -> Any:
    """Fit a calibrator on the out-of-fold scores of several folds.

    Args:
        method: Calibration method.
        folds: Scores per fold.

    Returns:
        As :func:`fit_calibrator`.
    """
    log_odds = np.concatenate([fold.log_odds for fold in folds])
    return fit_calibrator(method, log_odds, np.concatenate([fold.validation.y for fold in folds]))


def choose_calibration(folds: Sequence[FoldScores], horizon_days: int, resamples: int, seed: int) -> CalibrationChoice:
    """Choose the simplest method whose log loss no other method undercuts by more than noise.

    Each fold is predicted by calibrators that are fitted on the folds whose outcomes were known by then. The base rate
    may change in between, as in production.

    Args:
        folds: Out-of-fold log-odds.
        horizon_days: Horizon of the label in days.
        resamples: Bootstrap resamples behind the intervals.
        seed: Seed of the bootstrap.

    Returns:
        Method with its reason.
    """
    comparable = [(fold, earlier) for fold in folds if (earlier := _closed_before(folds, fold, horizon_days))]
    if not comparable:
        return CalibrationChoice("none", "Too little history to compare calibrations: none is used.", [])
    churned = np.concatenate([fold.validation.y for fold, _ in comparable])
    customers = np.concatenate([fold.validation.keys["customer_id"].to_numpy() for fold, _ in comparable])
    bootstrap = CustomerBootstrap(customers, resamples, seed)
    scores = {
        method: np.concatenate(
            [apply_calibrator(fit_on_folds(method, earlier), fold.log_odds) for fold, earlier in comparable]
        )
        for method in CALIBRATION_METHODS
    }
    losses = {method: log_loss_per_row(churned, values) for method, values in scores.items()}

    def gain(over: Calibration, method: Calibration) -> Interval:
        saved = losses[over] - losses[method]
        return percentile_interval(float(saved.mean()), mean_draws(saved, bootstrap))

    chosen: Calibration = "none"
    reasons = []
    for rival in CALIBRATION_METHODS[1:]:
        saved = gain(chosen, rival)
        wins = saved.low > 0
        reasons.append(
            f"{rival} {'is better than' if wins else 'is not better than'} {chosen} "
            f"(log loss lower by {saved.value:.4f}, 95% interval {saved.low:.4f} to {saved.high:.4f})"
        )
        chosen = rival if wins else chosen
    methods = []
    for method in CALIBRATION_METHODS:
        values = compute_metrics(churned, scores[method])
        methods.append(
            CalibrationMethod(
                method=method,
                brier=values["brier"],
                log_loss=values["log_loss"],
                ece=values["ece"],
                gain=None if method == "none" else gain("none", method),
            )
        )
    return CalibrationChoice(chosen, "; ".join(reasons) + ".", methods)


def _closed_before(folds: Sequence[FoldScores], fold: FoldScores, horizon_days: int) -> list[FoldScores]:
    start, horizon = fold.validation.keys["cutoff"].iloc[0], timedelta(days=horizon_days)
    return [item for item in folds if item.validation.keys["cutoff"].iloc[0] + horizon <= start]
