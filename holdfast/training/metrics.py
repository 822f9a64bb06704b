"""How good scores are, as numbers and with intervals."""

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
    """ROC-AUC and PR-AUC (higher is better), Brier score, log loss and calibration error (lower is better).

    Rows of one class have no ROC-AUC, and rows without a churner no PR-AUC: NaN.
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
    """The area under the ROC curve; NaN for rows of one class."""
    return float(roc_auc_score(churned, scores)) if churned.any() and not churned.all() else float("nan")


def compute_metric_intervals(churned: Bools, scores: Floats, bootstrap: CustomerBootstrap) -> dict[str, Interval]:
    """The same with their 95% intervals."""
    draws = {
        "roc_auc": roc_auc_draws(churned, scores, bootstrap),
        "pr_auc": pr_auc_draws(churned, scores, bootstrap),
        "brier": mean_draws((churned - scores) ** 2, bootstrap),
        "log_loss": mean_draws(row_log_loss(churned, scores), bootstrap),
        "ece": calibration_error_draws(churned, scores, bootstrap),
    }
    return {name: percentile_interval(value, draws[name]) for name, value in compute_metrics(churned, scores).items()}


def row_log_loss(churned: Bools, scores: Floats) -> Floats:
    """Log loss of each row, shape (rows,). A certain error costs 36, not infinity, as in scikit-learn."""
    certain = np.finfo(np.float64).eps
    clipped = np.clip(scores, certain, 1 - certain)
    return -np.where(churned, np.log(clipped), np.log1p(-clipped))


def roc_auc_difference(churned: Bools, left: Floats, right: Floats, bootstrap: CustomerBootstrap) -> Interval:
    """ROC-AUC of ``left`` less that of ``right``, on the same resamples."""
    draws = roc_auc_draws(churned, left, bootstrap) - roc_auc_draws(churned, right, bootstrap)
    return percentile_interval(roc_auc(churned, left) - roc_auc(churned, right), draws)
