"""How good scores turned out to be: each measure with the bootstrap draws that its interval comes from."""

from collections.abc import Mapping

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

Drawn = dict[str, tuple[float, Floats]]


def measure_performance(
    churned: Bools, scores: Floats, offered: Bools, value: ValueSettings, resamples: CustomerBootstrap
) -> Drawn:
    """Measure to its value and its draws, shape (resamples,); of one class, there is no ``roc_auc``.

    ``brier``; ``bias``: predicted less observed churn; ``earned``: profit per customer, where those in ``offered`` got
    an offer; ``ece``: calibration error. All arrays are of shape (rows,).
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


def compute_intervals(drawn: Mapping[str, tuple[float, Floats]]) -> dict[str, Interval]:
    """The 95% interval of each measure; one that cannot be computed is left out."""
    found = {name: percentile_interval(*pair) for name, pair in drawn.items()}
    return {name: item for name, item in found.items() if np.isfinite([item.value, item.low, item.high]).all()}
