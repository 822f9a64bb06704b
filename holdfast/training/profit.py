"""Profit of retention offers by decision threshold."""

import numpy as np

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import CustomerBootstrap, mean_draws, percentile_interval
from holdfast.training.evaluation_report import ProfitEstimate
from holdfast.training.settings import ValueSettings

_CURVE = np.linspace(0, 1, 201)


def optimal_threshold(value: ValueSettings) -> float:
    """Compute the churn probability from which an offer has a positive expected profit (Elkan, 2001).

    With calibrated probabilities, offers at or above cost / (response rate * value of a retained customer) have the
    highest
    expected profit.

    Args:
        value: Value of a customer, cost and response rate of an offer.

    Returns:
        The threshold, a probability.
    """
    return value.offer_cost / (value.response_rate * value.kept_customer)


def profit_per_row(churned: Bools, scores: Floats, threshold: float, value: ValueSettings) -> Floats:
    """Compute the profit of each row if all rows at or above a threshold get an offer.

    Args:
        churned: Labels, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        threshold: Decision threshold.
        value: Value of a customer, cost and response rate of an offer.

    Returns:
        Profit in the currency of the transactions, shape (rows,).
    """
    gain = np.where(churned, value.response_rate * value.kept_customer, 0.0) - value.offer_cost
    return np.where(scores >= threshold, gain, 0.0)


def profit_curve(churned: Bools, scores: Floats, value: ValueSettings) -> tuple[Floats, Floats]:
    """Compute the mean profit per row by threshold.

    Args:
        churned: Labels, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        value: Value of a customer, cost and response rate of an offer.

    Returns:
        Thresholds from 0 to 1, shape (201,), and profits, shape (201,).
    """
    return _CURVE, np.array([profit_per_row(churned, scores, threshold, value).mean() for threshold in _CURVE])


def estimate_profit(
    churned: Bools, scores: Floats, threshold: float, value: ValueSettings, bootstrap: CustomerBootstrap
) -> ProfitEstimate:
    """Estimate the profit at a threshold, beside 0.5, offers to all, and the best threshold in hindsight.

    Args:
        churned: Labels, shape (rows,).
        scores: Churn probabilities, shape (rows,).
        threshold: Decision threshold.
        value: Value of a customer, cost and response rate of an offer.
        bootstrap: Bootstrap over customers.

    Returns:
        Profits per row with 95% intervals.
    """
    chosen, half = profit_per_row(churned, scores, threshold, value), profit_per_row(churned, scores, 0.5, value)
    best_at, best = _hindsight(churned, scores, value)

    def mean_and_draws(rows: Floats) -> tuple[float, Floats]:
        return float(rows.mean()), mean_draws(rows, bootstrap)

    return ProfitEstimate(
        threshold=threshold,
        earned=percentile_interval(*mean_and_draws(chosen)),
        at_half=percentile_interval(*mean_and_draws(half)),
        lost_by_half=percentile_interval(*mean_and_draws(chosen - half)),
        offers_to_all=float(profit_per_row(churned, scores, 0.0, value).mean()),
        best_threshold=best_at,
        best=best,
    )


def _hindsight(churned: Bools, scores: Floats, value: ValueSettings) -> tuple[float, float]:
    """Return the threshold with the highest profit per row, and that profit; 1 and 0 if no offer pays."""
    order = np.argsort(-scores, kind="stable")
    money = np.cumsum(profit_per_row(churned, scores, 0.0, value)[order]) / len(scores)
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])  # equal scores are treated alike
    best = last[money[last].argmax()]
    return (float(scores[order[best]]), float(money[best])) if money[best] > 0 else (1.0, 0.0)
