"""Performance of scores on matured cohorts, with bootstrap intervals."""

import numpy as np
from sklearn.metrics import roc_auc_score

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import (
    CustomerBootstrap,
    calibration_error_draws,
    expected_calibration_error,
    mean_draws,
    percentile_interval,
    roc_auc_draws,
)
from holdfast.training.evaluation_report import Interval
from holdfast.training.profit import profit_per_row
from holdfast.training.settings import ValueSettings

MetricDraws = dict[str, tuple[float, Floats]]  # metric to value and bootstrap draws, shape (resamples,)


def measure_performance(
    churned: Bools, scores: Floats, offered: Bools, value: ValueSettings, resamples: CustomerBootstrap
) -> MetricDraws:
    """Compute performance metrics with their bootstrap draws.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        offered: Customers with an offer, shape (rows,).
        value: Value of a customer, cost and response rate of an offer.
        resamples: Bootstrap over customers.

    Returns:
        Metric to value and draws, shape (resamples,): ``brier``; ``bias``, predicted minus observed churn; ``earned``,
        profit per customer; ``ece``, expected calibration error; ``roc_auc``, only with both classes.
    """
    per_row = {
        "brier": (churned - scores) ** 2,
        "bias": scores - churned,
        "earned": profit_per_row(churned, offered.astype(np.float64), 0.5, value),
    }
    drawn = {name: (float(values.mean()), mean_draws(values, resamples)) for name, values in per_row.items()}
    drawn["ece"] = (expected_calibration_error(churned, scores), calibration_error_draws(churned, scores, resamples))
    if 0 < churned.mean() < 1:
        drawn["roc_auc"] = (float(roc_auc_score(churned, scores)), roc_auc_draws(churned, scores, resamples))
    return drawn


def compute_intervals(drawn: MetricDraws) -> dict[str, Interval]:
    """Compute 95% percentile intervals.

    Args:
        drawn: Metric to value and draws, as :func:`measure_performance` returns them.

    Returns:
        Metric to interval, without metrics that are not finite.
    """
    found = {name: percentile_interval(*pair) for name, pair in drawn.items()}
    return {name: item for name, item in found.items() if np.isfinite([item.value, item.low, item.high]).all()}
