"""Power of the signal gate: test rows and months that would show a given ROC-AUC."""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from holdfast.promotion.safety_gates import signal_z
from holdfast.training.evaluation_report import Evaluation, Interval

POWER = 0.9
ROC_AUCS = (0.55, 0.60)


@dataclass(frozen=True)
class NeededData:
    """Data with which a ROC-AUC would be found with a power of ``POWER``.

    Attributes:
        roc_auc: ROC-AUC to find.
        rows: Test rows.
        months: Test months with as many rows each as today.
    """

    roc_auc: float
    rows: int
    months: int


def compute_needed_data(evaluation: Evaluation, roc_auc: Interval) -> list[NeededData]:
    """Compute the test rows and months at which the signal gate of the test passes with a power of ``POWER``.

    Noether's sample size (1987) for independent rows, times the design effect: the measured variance of the ROC-AUC,
    in which a customer has several rows and months differ, over the variance of as many independent rows.

    Args:
        evaluation: Evaluation on the test period.
        roc_auc: ROC-AUC of the test rows, with its 95% interval.

    Returns:
        Needed data for each ROC-AUC of ``ROC_AUCS``; empty if the interval or the churn rate allows no calculation.
    """
    spread = evaluation.base_rate * (1 - evaluation.base_rate)
    standard_error = (roc_auc.high - roc_auc.low) / (2 * ndtri(0.975))
    z = signal_z(evaluation.folds is not None) + ndtri(POWER)
    if not (spread > 0 and math.isfinite(standard_error) and evaluation.rows):
        return []
    design_effect = max(1.0, standard_error**2 * 12 * evaluation.rows * spread)
    per_month = evaluation.rows / max(1, len(evaluation.cutoffs))
    found = []
    for value in ROC_AUCS:
        independent = z**2 / (12 * spread * (value - 0.5) ** 2)
        rows = math.ceil(independent * design_effect)
        found.append(NeededData(value, rows, math.ceil(rows / per_month)))
    return found
