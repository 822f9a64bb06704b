"""Calibration of probabilities: its shape is learned on folds, its level on the rows that the model was fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from holdfast.core.types import Bools, Floats
from holdfast.models.calibrated_classifier import apply_calibrator
from holdfast.training.bootstrap import bootstrap_rows, compare_means
from holdfast.training.dataset import TrainingSet
from holdfast.training.evaluation_report import CalibrationMethod
from holdfast.training.metrics import clip_log_odds, compute_metrics, level_offset, log_loss_per_row
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

    @property
    def level_free(self) -> Floats:
        """Return the log-odds after the offset with which their mean probability equals the observed share."""
        log_odds = clip_log_odds(self.log_odds)
        return log_odds + level_offset(self.validation.y, log_odds)


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


def fit_on_folds(
    method: Calibration, folds: Sequence[FoldScores], log_odds: Floats | None = None, churned: Bools | None = None
) -> Any:
    """Fit the shape of a calibrator on the out-of-fold scores of several folds, and its level on other rows.

    The model of a fold knows earlier months only, so its level is wrong where the base rate moves, and the model that
    ships does not have that fault. The level of each fold is removed before the fit; the calibrated level is that of
    the rows on which the shipped model was fitted.

    Args:
        method: Calibration method.
        folds: Scores per fold.
        log_odds: Log-odds of the shipped model for the rows that it was fitted on, shape (rows,); None for the level
            of the folds, which each fold's scores have after its offset.
        churned: Outcomes of these rows, shape (rows,).

    Returns:
        As :func:`fit_calibrator`.
    """
    scores = np.concatenate([fold.level_free for fold in folds])
    outcomes = np.concatenate([fold.validation.y for fold in folds])
    calibrator = fit_calibrator(method, scores, outcomes)
    if calibrator is None or log_odds is None or churned is None:
        return calibrator
    anchor = clip_log_odds(log_odds)
    if method == "sigmoid":
        slope = calibrator.coef_[0, 0]
        calibrator.intercept_[:] = level_offset(churned, slope * anchor)
        return calibrator
    shift = _isotonic_shift(calibrator, anchor, float(churned.mean()))
    return fit_calibrator(method, scores - shift, outcomes)


def choose_calibration(
    folds: Sequence[FoldScores],
    outcome_days: int,
    resamples: int,
    seed: int,
    setting: Literal["auto"] | Calibration = "auto",
) -> CalibrationChoice:
    """Choose the simplest method whose log loss no other method undercuts by more than one standard error.

    Each fold is predicted by calibrators that are fitted on the folds whose outcomes were known by then. The level of
    each prediction is removed, because it is no property of the method. The test can veto the choice later.

    Args:
        folds: Out-of-fold log-odds.
        outcome_days: Days from a cut-off until its outcomes are known.
        resamples: Bootstrap resamples behind the intervals.
        seed: Seed of the bootstrap.
        setting: Method that a person fixed; "auto" to choose.

    Returns:
        Method with its reason.
    """
    if setting != "auto" and (folds or setting == "none"):
        return CalibrationChoice(setting, f"The settings fix the calibration: {setting}.", [])
    comparable = [(fold, earlier) for fold in folds if (earlier := _closed_before(folds, fold, outcome_days))]
    if not comparable:
        return CalibrationChoice("none", "Too little history to compare calibrations: none is used.", [])
    churned = np.concatenate([fold.validation.y for fold, _ in comparable])
    bootstrap = bootstrap_rows(pd.concat([fold.validation.keys for fold, _ in comparable]), resamples, seed)
    scores = {
        method: np.concatenate([_apply_level_free(method, fold, earlier) for fold, earlier in comparable])
        for method in CALIBRATION_METHODS
    }
    losses = {method: log_loss_per_row(churned, values) for method, values in scores.items()}

    chosen: Calibration = "none"
    reasons = []
    for rival in CALIBRATION_METHODS[1:]:
        saved = compare_means(losses[chosen], losses[rival], bootstrap)
        wins = saved.mean > saved.standard_error
        reasons.append(
            f"{rival} is {'' if wins else 'not '}better than {chosen} by more than one standard error ({saved})"
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
                gain=None if method == "none" else compare_means(losses["none"], losses[method], bootstrap).interval,
            )
        )
    return CalibrationChoice(chosen, "; ".join(reasons) + ".", methods)


def _apply_level_free(method: Calibration, fold: FoldScores, earlier: Sequence[FoldScores]) -> Floats:
    """Calibrate a fold by earlier ones and remove the level of the result."""
    calibrated = logit(apply_calibrator(fit_on_folds(method, earlier), fold.level_free))
    return expit(FoldScores(fold.validation, calibrated).level_free)


def _isotonic_shift(calibrator: IsotonicRegression, log_odds: Floats, target: float) -> float:
    """Compute the shift of the log-odds with which the mean of a monotone calibrator equals ``target``.

    Where no shift gives the target, because it lies beyond all calibrated values, the nearest end is used.
    """
    low = calibrator.X_min_ - log_odds.max() - 1.0
    high = calibrator.X_max_ - log_odds.min() + 1.0

    def surplus(shift: float) -> float:
        return float(calibrator.predict(log_odds + shift).mean()) - target

    if surplus(low) >= 0 or surplus(high) <= 0:
        return low if surplus(low) >= 0 else high
    return float(brentq(surplus, low, high, xtol=1e-14))  # steps of the calibrator are steep


def _closed_before(folds: Sequence[FoldScores], fold: FoldScores, outcome_days: int) -> list[FoldScores]:
    start, horizon = fold.validation.keys["cutoff"].iloc[0], timedelta(days=outcome_days)
    return [item for item in folds if item.validation.keys["cutoff"].iloc[0] + horizon <= start]
