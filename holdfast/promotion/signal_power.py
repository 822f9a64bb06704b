"""Power of the signal gate: test rows and months that would show a given ROC-AUC."""

import math
from dataclasses import dataclass

from scipy.stats import norm

from holdfast.training.evaluation_report import Evaluation, Interval

POWER = 0.8
ROC_AUCS = (0.55, 0.60)
_Z = norm.ppf(0.975)


@dataclass(frozen=True)
class NeededData:
    """Data with which a ROC-AUC would be found with a power of 80%.

    Attributes:
        roc_auc: ROC-AUC to find.
        rows: Test rows.
        months: Test months with as many rows each as today.
    """

    roc_auc: float
    rows: int
    months: int


def compute_needed_data(evaluation: Evaluation, signal: Interval) -> list[NeededData]:
    """Compute the test rows and months at which the lower bound of a ROC-AUC is above .5 with a power of 80%.

    Noether's sample size (1987) for independent rows, times the design effect: the measured variance of the ROC-AUC,
    in which a customer has several rows and months differ, over the variance of as many independent rows.

    Args:
        evaluation: Evaluation on the test period.
        signal: ROC-AUC within the test months, with its 95% interval.

    Returns:
        Needed data for each ROC-AUC of ``ROC_AUCS``; empty if the interval or the churn rate allows no calculation.
    """
    spread = evaluation.base_rate * (1 - evaluation.base_rate)
    standard_error = (signal.high - signal.low) / (2 * _Z)
    if not (spread > 0 and math.isfinite(standard_error) and evaluation.rows):
        return []
    design_effect = max(1.0, standard_error**2 * 12 * evaluation.rows * spread)
    per_month = evaluation.rows / max(1, len(evaluation.cutoffs))
    found = []
    for roc_auc in ROC_AUCS:
        independent = (_Z + norm.ppf(POWER)) ** 2 / (12 * spread * (roc_auc - 0.5) ** 2)
        rows = math.ceil(independent * design_effect)
        found.append(NeededData(roc_auc, rows, math.ceil(rows / per_month)))
    return found
