"""Profit of retention offers by score."""

import numpy as np

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import CustomerBootstrap, mean_draws, percentile_interval
from holdfast.training.evaluation_report import Interval, ProfitEstimate
from holdfast.training.settings import ValueSettings

_THRESHOLDS = np.linspace(0, 1, 201)


def optimal_threshold(value: ValueSettings) -> float:
    """Compute the churn probability from which an offer has a positive expected profit (Elkan, 2001).

    An offer costs ``offer_cost`` and retains a churner with probability ``response_rate``: with calibrated
    probabilities, offers to exactly the customers at or above cost / (response rate * value) have the highest expected
    profit.

    Args:
        value: Value of customers and offers.

    Returns:
        Threshold.
    """
    return value.offer_cost / (value.response_rate * value.kept_customer)


def profit_per_row(churned: Bools, scores: Floats, threshold: float, value: ValueSettings) -> Floats:
    """Compute the profit of each row when every row at or above a threshold gets an offer.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        threshold: Churn probability from which customers get an offer.
        value: Value of customers and offers.

    Returns:
        Profit, shape (rows,).
    """
    gain = np.where(churned, value.response_rate * value.kept_customer, 0.0) - value.offer_cost
    return np.where(scores >= threshold, gain, 0.0)


def profit_curve(churned: Bools, scores: Floats, value: ValueSettings) -> tuple[Floats, Floats]:
    """Compute the mean profit per row at thresholds from 0 to 1.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        value: Value of customers and offers.

    Returns:
        Thresholds and profits, both of shape (201,).
    """
    return _THRESHOLDS, np.array(
        [profit_per_row(churned, scores, threshold, value).mean() for threshold in _THRESHOLDS]
    )


def estimate_profit(
    churned: Bools, scores: Floats, threshold: float, value: ValueSettings, bootstrap: CustomerBootstrap
) -> ProfitEstimate:
    """Estimate the profit of a threshold, compared with 0.5, offers to all customers, and hindsight.

    Args:
        churned: Outcomes, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        threshold: Threshold of the model.
        value: Value of customers and offers.
        bootstrap: Resamples of the rows.

    Returns:
        Profit per row.
    """
    chosen, half = profit_per_row(churned, scores, threshold, value), profit_per_row(churned, scores, 0.5, value)
    best_threshold, best = _hindsight(churned, scores, value)

    def mean_interval(profits: Floats) -> Interval:
        return percentile_interval(float(profits.mean()), mean_draws(profits, bootstrap))

    return ProfitEstimate(
        threshold=threshold,
        earned=mean_interval(chosen),
        at_half=mean_interval(half),
        lost_by_half=mean_interval(chosen - half),
        offers_to_all=float(profit_per_row(churned, scores, 0.0, value).mean()),
        best_threshold=best_threshold,
        best=best,
    )


def _hindsight(churned: Bools, scores: Floats, value: ValueSettings) -> tuple[float, float]:
    """Find the threshold with the highest profit per row, and that profit; 1 and 0 where no offer pays."""
    order = np.argsort(-scores, kind="stable")
    money = np.cumsum(profit_per_row(churned, scores, 0.0, value)[order]) / len(scores)
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])  # equal scores get the same decision
    best = last[money[last].argmax()]
    return (float(scores[order[best]]), float(money[best])) if money[best] > 0 else (1.0, 0.0)
