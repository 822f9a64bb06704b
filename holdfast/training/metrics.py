"""Evaluation metrics of churn scores, with bootstrap intervals."""

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import (
    CustomerBootstrap,
    calibration_error_draws,
    expected_calibration_error,
    mean_draws,
    percentile_interval,
    pr_auc_draws,
    roc_auc_draws,
)
from holdfast.training.evaluation_report import Interval


def compute_metrics(churned: Bools, scores: Floats) -> dict[str, float]:
    """Compute ROC-AUC, PR-AUC, Brier score, log loss and expected calibration error.

    Args:
        churned: Labels, shape (rows,).
        scores: Churn probabilities, shape (rows,).

    Returns:
        Value by metric: ``roc_auc`` and ``pr_auc`` (higher is better), ``brier``, ``log_loss`` and ``ece`` (lower is
        better). NaN for ``roc_auc`` with one class and for ``pr_auc`` without a churner.
    """
    both = [False, True]
    return {
        "roc_auc": roc_auc(churned, scores),
        "pr_auc": float(average_precision_score(churned, scores)) if churned.any() else float("nan"),
        "brier": float(brier_score_loss(churned, scores, labels=both)),
        "log_loss": float(log_loss(churned, scores, labels=both)),
        "ece": expected_calibration_error(churned, scores),
    }


def roc_auc(churned: Bools, scores: Floats) -> float:
    """Compute the area under the ROC curve.

    Args:
        churned: Labels, shape (rows,).
        scores: Scores, shape (rows,).

    Returns:
        The area; NaN with one class.
    """
    return float(roc_auc_score(churned, scores)) if churned.any() and not churned.all() else float("nan")


def compute_metric_intervals(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> dict[str, Interval]:
    """Compute the metrics of :func:`compute_metrics` with 95% intervals.

    Args:
        churned: Labels, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        bootstrap: Bootstrap over customers.

    Returns:
        Interval by metric.
    """
    draws = {
        "roc_auc": roc_auc_draws(churned, scores, bootstrap),
        "pr_auc": pr_auc_draws(churned, scores, bootstrap),
        "brier": mean_draws((churned - scores) ** 2, bootstrap),
        "log_loss": mean_draws(row_log_loss(churned, scores), bootstrap),
        "ece": calibration_error_draws(churned, scores, bootstrap),
    }
    return {name: percentile_interval(value, draws[name]) for name, value in compute_metrics(churned, scores).items()}


def row_log_loss(churned: Bools, scores: Floats) -> Floats:
    """Compute the log loss of each row, clipped like scikit-learn: a certain error costs 36, not infinity.

    Args:
        churned: Labels, shape (rows,).
        scores: Churn probabilities, shape (rows,).

    Returns:
        Log loss, shape (rows,).
    """
    certain = np.finfo(np.float64).eps
    clipped = np.clip(scores, certain, 1 - certain)
    return -np.where(churned, np.log(clipped), np.log1p(-clipped))


def roc_auc_difference(churned: Bools, left: Floats, right: Floats, bootstrap: CustomerBootstrap) -> Interval:
    """Compute the difference of two ROC-AUCs on the same resamples.

    Args:
        churned: Labels, shape (rows,).
        left: Scores of the first model, shape (rows,).
        right: Scores of the second model, shape (rows,).
        bootstrap: Bootstrap over customers.

    Returns:
        ROC-AUC of ``left`` minus ROC-AUC of ``right`` with its 95% interval.
    """
    draws = roc_auc_draws(churned, left, bootstrap) - roc_auc_draws(churned, right, bootstrap)
    return percentile_interval(roc_auc(churned, left) - roc_auc(churned, right), draws)
