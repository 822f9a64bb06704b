"""Metrics of churn scores, with bootstrap intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import (
    CustomerBootstrap,
    average_months,
    calibration_error_draws,
    expected_calibration_error,
    mean_draws,
    percentile_interval,
    pr_auc_draws,
    roc_auc_draws,
)
from holdfast.training.evaluation_report import Interval

_LARGEST_LOG_ODDS = 36.0  # beyond it float64 rounds the probability to 1


def compute_metrics(churned: Bools, scores: Floats) -> dict[str, float]:
    """Compute ROC-AUC and PR-AUC (higher is better), Brier score, log loss and calibration error (lower is better).

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).

    Returns:
        Metric to value. ROC-AUC is NaN for rows of one class, PR-AUC for rows without churn.
    """
    both = [False, True]
    return {
        "roc_auc": _roc_auc(churned, scores),
        "pr_auc": float(average_precision_score(churned, scores)) if churned.any() else float("nan"),
        "brier": float(brier_score_loss(churned, scores, labels=both)),
        "log_loss": float(log_loss(churned, scores, labels=both)),
        "ece": expected_calibration_error(churned, scores),
    }


def _roc_auc(churned: Bools, scores: Floats) -> float:
    """Compute the area under the ROC curve."""
    return float(roc_auc_score(churned, scores)) if churned.any() and not churned.all() else float("nan")


def draw_metrics(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> dict[str, Floats]:
    """Compute the metrics of :func:`compute_metrics` in each resample.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        Metric to values, shape (resamples,).
    """
    return {
        "roc_auc": roc_auc_draws(churned, scores, bootstrap),
        "pr_auc": pr_auc_draws(churned, scores, bootstrap),
        "brier": mean_draws((churned - scores) ** 2, bootstrap),
        "log_loss": mean_draws(log_loss_per_row(churned, scores), bootstrap),
        "ece": calibration_error_draws(churned, scores, bootstrap),
    }


def compute_metric_intervals(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> dict[str, Interval]:
    """Compute the metrics of :func:`compute_metrics` with their 95% intervals.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        Metric to interval.
    """
    return summarize_draws(churned, scores, draw_metrics(churned, scores, bootstrap))


def summarize_draws(churned: Bools, scores: Floats, draws: Mapping[str, Floats]) -> dict[str, Interval]:
    """Compute the 95% intervals of metrics from their resamples.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        draws: Result of :func:`draw_metrics`.

    Returns:
        Metric to interval.
    """
    return {name: percentile_interval(value, draws[name]) for name, value in compute_metrics(churned, scores).items()}


def log_loss_per_row(churned: Bools, scores: Floats) -> Floats:
    """Compute the log loss of each row; as in scikit-learn, a certain error costs 36 instead of infinity.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).

    Returns:
        Losses, shape (rows,).
    """
    epsilon = np.finfo(np.float64).eps
    clipped = np.clip(scores, epsilon, 1 - epsilon)
    return -np.where(churned, np.log(clipped), np.log1p(-clipped))


def roc_auc_difference(churned: Bools, left: Floats, right: Floats, bootstrap: CustomerBootstrap) -> Interval:
    """Compute the difference of two ROC-AUCs on the same resamples.

    Args:
        churned: Outcomes, shape (rows,).
        left: Scores, shape (rows,).
        right: Scores, shape (rows,).
        bootstrap: Resamples of the rows.

    Returns:
        ROC-AUC of ``left`` minus that of ``right``.
    """
    draws = roc_auc_draws(churned, left, bootstrap) - roc_auc_draws(churned, right, bootstrap)
    return percentile_interval(_roc_auc(churned, left) - _roc_auc(churned, right), draws)


def average_monthly_roc_auc(
    churned: Bools, scores: Floats, months: Sequence[Any] | npt.NDArray[Any], bootstrap: CustomerBootstrap
) -> Interval:
    """Compute the mean ROC-AUC within the months, with an interval over customers and months.

    Args:
        churned: Outcomes, both in each month, shape (rows,).
        scores: Scores, shape (rows,).
        months: Month of each row, shape (rows,).
        bootstrap: Resamples of customers and months of the rows.

    Returns:
        Mean over the months.
    """
    codes, known = pd.factorize(np.asarray(months))
    values, draws = [], []
    for code in range(len(known)):
        rows = codes == code
        values.append(float(roc_auc_score(churned[rows], scores[rows])))
        draws.append(roc_auc_draws(churned[rows], scores[rows], bootstrap.one_month(rows)))
    pooled = average_months(np.column_stack(draws), bootstrap.month_counts)
    return percentile_interval(float(np.mean(values)), pooled)


def level_offset(churned: Bools | Floats, log_odds: Floats) -> float:
    """Compute the offset with which the mean probability equals the observed share, the best single offset.

    Args:
        churned: Outcomes of both classes, or probabilities, shape (rows,).
        log_odds: Finite log-odds, shape (rows,).

    Returns:
        Offset to add to each log-odds.
    """
    target = churned.mean()
    low, high = logit(target) - log_odds.max() - 1.0, logit(target) - log_odds.min() + 1.0
    return float(brentq(lambda offset: expit(log_odds + offset).mean() - target, low, high, xtol=1e-9))


def level_free_log_loss(churned: Bools, log_odds: Floats) -> Floats:
    """Compute the log loss of each row after the best single offset, which measures all but the level.

    The base rate moves between months, and a model of earlier months cannot know it. The loss still depends on the
    order and the spread of the log-odds, so that too strong and too weak shrinkage cost.

    Args:
        churned: Outcomes of both classes, shape (rows,).
        log_odds: Log-odds, shape (rows,); infinite ones are clipped.

    Returns:
        Losses, shape (rows,).
    """
    log_odds = clip_log_odds(log_odds)
    level = log_odds + level_offset(churned, log_odds)
    return np.logaddexp(0.0, np.where(churned, -level, level))


def to_log_odds(probabilities: Floats) -> Floats:
    """Convert probabilities to log-odds.

    Args:
        probabilities: Probabilities, 0 and 1 included, shape (rows,).

    Returns:
        Log-odds between -36 and 36.
    """
    with np.errstate(divide="ignore"):
        return clip_log_odds(logit(probabilities))


def clip_log_odds(log_odds: Floats) -> Floats:
    """Limit log-odds to those of probabilities that differ from 0 and 1.

    Args:
        log_odds: Log-odds, shape (rows,).

    Returns:
        Log-odds between -36 and 36.
    """
    return np.clip(log_odds, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
