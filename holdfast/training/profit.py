"""What acting on the scores earns."""

import numpy as np

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import CustomerBootstrap, mean_draws, percentile_interval
from holdfast.training.evaluation_report import ProfitEstimate
from holdfast.training.settings import ValueSettings

_CURVE = np.linspace(0, 1, 201)


def optimal_threshold(value: ValueSettings) -> float:
    """The churn probability from which an offer is expected to pay (Elkan, 2001).

    An offer costs ``offer_cost`` and keeps a churner with ``response_rate``: with calibrated probabilities,
    treating exactly those at or above cost / (response rate * worth) has the highest expected profit.
    """
    return value.offer_cost / (value.response_rate * value.kept_customer)


def profit_per_row(churned: Bools, scores: Floats, threshold: float, value: ValueSettings) -> Floats:
    """Money per row when every row at or above ``threshold`` gets an offer, shape (rows,)."""
    gain = np.where(churned, value.response_rate * value.kept_customer, 0.0) - value.offer_cost
    return np.where(scores >= threshold, gain, 0.0)


def profit_curve(churned: Bools, scores: Floats, value: ValueSettings) -> tuple[Floats, Floats]:
    """Thresholds from 0 to 1 and the money per row at each."""
    return _CURVE, np.array([profit_per_row(churned, scores, threshold, value).mean() for threshold in _CURVE])


def estimate_profit(
    churned: Bools, scores: Floats, threshold: float, value: ValueSettings, bootstrap: CustomerBootstrap
) -> ProfitEstimate:
    """What the threshold earns on these rows, beside 0.5, offers to all, and hindsight."""
    chosen, half = profit_per_row(churned, scores, threshold, value), profit_per_row(churned, scores, 0.5, value)
    best_at, best = _hindsight(churned, scores, value)

    def told(rows: Floats) -> tuple[float, Floats]:
        return float(rows.mean()), mean_draws(rows, bootstrap)

    return ProfitEstimate(
        threshold=threshold,
        earned=percentile_interval(*told(chosen)),
        at_half=percentile_interval(*told(half)),
        lost_by_half=percentile_interval(*told(chosen - half)),
        offers_to_all=float(profit_per_row(churned, scores, 0.0, value).mean()),
        best_threshold=best_at,
        best=best,
    )


def _hindsight(churned: Bools, scores: Floats, value: ValueSettings) -> tuple[float, float]:
    """The threshold that would have earned most per row, and how much; 1 and 0 where no offers would have been best."""
    order = np.argsort(-scores, kind="stable")
    money = np.cumsum(profit_per_row(churned, scores, 0.0, value)[order]) / len(scores)
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])  # equal scores are treated alike
    best = last[money[last].argmax()]
    return (float(scores[order[best]]), float(money[best])) if money[best] > 0 else (1.0, 0.0)
