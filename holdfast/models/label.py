"""Label of a model version: the customers that it scores, and what churn is."""

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.core.types import Bools

LabelName = Literal["no_purchase", "not_renewed", "spend"]
SETTINGS_LABEL = "churn"  # in the declaration of a model: the label of the setting HOLDFAST_LABEL
RECENCY_FEATURE = "days_since_last_purchase"
SUBSCRIPTION_FEATURE = "days_to_subscription_end"


@dataclass(frozen=True)
class ActivityRule:
    """Rule for active customers, those that a model is trained on, as an interval of one of its inputs.

    Attributes:
        feature: Name of the input.
        above: Lower end of the interval, not included.
        up_to: Upper end of the interval, included.
    """

    feature: str
    above: float
    up_to: float

    def mask(self, values: npt.ArrayLike) -> Bools:
        """Mark active customers.

        Args:
            values: Values of the input, NaN if missing, shape (customers,).

        Returns:
            True for active customers, False for those without a value, shape (customers,).
        """
        numbers = np.asarray(values, dtype=np.float64)
        return (numbers > self.above) & (numbers <= self.up_to)


@dataclass(frozen=True)
class LabelTerms:
    """Terms of a label, without its SQL.

    Attributes:
        name: Name of the label: ``no_purchase``, ``not_renewed``, or ``spend`` of the customers of ``no_purchase``.
        horizon_days: Days after a cut-off in which a purchase means "not churned" (``no_purchase``), or in which the
            subscription of an active customer ends (``not_renewed``).
        activity_days: Days before a cut-off with a purchase of an active customer (``no_purchase``).
        grace_days: Days after the end of a subscription until which a renewal counts (``not_renewed``).
    """

    name: LabelName = "no_purchase"
    horizon_days: int = 90
    activity_days: int = 180
    grace_days: int = 0

    @staticmethod
    def of(settings: Settings, declared: str = SETTINGS_LABEL) -> "LabelTerms":
        """Read the terms of new model versions.

        Args:
            settings: Settings with the label.
            declared: Label in the declaration of the model.

        Returns:
            The terms; a setting that the label does not use has no effect.
        """
        name = settings.label if declared == SETTINGS_LABEL else cast("LabelName", declared)
        grace_days = settings.grace_days if name == "not_renewed" else 0
        return LabelTerms(name, settings.horizon_days, settings.activity_days, grace_days)

    @property
    def has_subscriptions(self) -> bool:
        """Return whether the label reads the ends of subscriptions."""
        return self.name == "not_renewed"

    @property
    def outcome_days(self) -> int:
        """Return the days from a cut-off until its outcomes are known."""
        return self.horizon_days + self.grace_days

    @property
    def activity(self) -> ActivityRule:
        """Return the rule for active customers."""
        if self.has_subscriptions:
            return ActivityRule(SUBSCRIPTION_FEATURE, 0, self.horizon_days)
        return ActivityRule(RECENCY_FEATURE, -np.inf, self.activity_days)

    def describe_churn(self, time: str = "a cut-off") -> str:
        """Describe what churn is.

        Args:
            time: Scoring time in the sentence.

        Returns:
            Noun phrase.
        """
        if self.has_subscriptions:
            return f"no renewal of the subscription within {format_count(self.grace_days, 'day')} of its end"
        return f"no purchase in the {format_count(self.horizon_days, 'day')} after {time}"

    def describe_spend(self, time: str = "a cut-off") -> str:
        """Describe what the spend is.

        Args:
            time: Scoring time in the sentence.

        Returns:
            Noun phrase.
        """
        return f"the sum of the purchases in the {format_count(self.horizon_days, 'day')} after {time}"

    def describe_customers(self, time: str = "a cut-off") -> str:
        """Describe the active customers.

        Args:
            time: Scoring time in the sentence.

        Returns:
            Words that follow "customers".
        """
        if self.has_subscriptions:
            return f"with a subscription that ends in the {format_count(self.horizon_days, 'day')} after {time}"
        return f"with a purchase in the {format_count(self.activity_days, 'day')} before {time}"


@dataclass(frozen=True)
class LabelDefinition(LabelTerms):
    """Label as a model version stores it.

    Attributes:
        sql: Query over source tables and ``cutoffs``, compiled from ``feature_repo.labels``.
    """

    sql: str = ""
