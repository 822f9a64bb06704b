"""Readiness of a source for training: days had and needed, repeat buyers, gaps without any row."""

import math
from dataclasses import dataclass
from datetime import date, timedelta

from holdfast.inspection.preview import Preview
from holdfast.training.history import ShopHistory, find_needed_end, fit_horizon


@dataclass(frozen=True)
class TrainingReadiness:
    """Facts on the shop that decide whether a training is possible.

    Attributes:
        history: History of purchases.
        repeat_buyers: Customers with purchases on two days or more.
        needed_days: Days of history that a training needs; None without a purchase.
        outcome_days: Days from a cut-off until its outcomes are known.
        gaps: First and last day without a row, of each long gap.
        proposed_horizon: Horizon that fits the gaps between purchases; None without repeat purchases, or with
            subscriptions.
        has_subscriptions: Whether the label reads ends of subscriptions.
    """

    history: ShopHistory
    repeat_buyers: int
    needed_days: int | None
    outcome_days: int
    gaps: tuple[tuple[date, date], ...]
    proposed_horizon: int | None
    has_subscriptions: bool = False

    @property
    def is_enough(self) -> bool:
        """Return whether the history is long enough and customers return."""
        return self.needed_days is not None and self.history.days >= self.needed_days and self.repeat_buyers > 0

    @property
    def _needs(self) -> str:
        return "horizon and grace" if self.has_subscriptions else "a horizon"

    def describe(self) -> str:
        """Describe whether a training is possible, and what is missing.

        Returns:
            One sentence.
        """
        if self.needed_days is None:
            return "No: no row has an amount above 0."
        days = f"{self.history.days:,} days of history"
        if self.history.days < self.needed_days:
            missing = self.needed_days - self.history.days
            return (
                f"No: {days}, and {self._needs} of {self.outcome_days} days needs {self.needed_days:,}: "
                f"{missing:,} more days, or a shorter horizon."
            )
        if not self.repeat_buyers:
            return f"No: {days}, but no customer has purchases on two days."
        return f"Yes: {days}, and {self._needs} of {self.outcome_days} days needs {self.needed_days:,}."


def assess_readiness(
    preview: Preview, outcome_days: int, min_history_days: int, has_subscriptions: bool = False
) -> TrainingReadiness:
    """Assess the rows that an ingest would store.

    Args:
        preview: Preview with at least one stored row.
        outcome_days: Days from a cut-off until its outcomes are known.
        min_history_days: Days of history before the earliest cut-off.
        has_subscriptions: Whether the label reads ends of subscriptions.

    Returns:
        Readiness for training.
    """
    history = preview.build_history()
    needed = None
    if history.first is not None and history.customers:
        end = find_needed_end(history.first, outcome_days, min_history_days)
        needed = math.ceil((end - history.first) / timedelta(days=1))
    return TrainingReadiness(
        history=history,
        repeat_buyers=int((preview.purchases["customer_id"].value_counts() > 1).sum()),
        needed_days=needed,
        outcome_days=outcome_days,
        gaps=preview.find_gaps(),
        proposed_horizon=None if has_subscriptions else fit_horizon(history.gaps, outcome_days).proposed_days,
        has_subscriptions=has_subscriptions,
    )
