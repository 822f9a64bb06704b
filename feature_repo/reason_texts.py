"""Reason texts: the text of a reason code per group of model inputs, in the words of customer service.

The inputs of a group are correlated, and a model can give its weight to any of them. So a reason sums their
contributions.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Input to its value: a float, or the text of a categorical input; NaN is missing.
InputValues = Mapping[str, Any]
NEW_CATEGORY = "new since the training"  # instead of a text that the training did not contain
_ONE_DAY = "bought on one day only"  # the meaning of a missing gap


@dataclass(frozen=True)
class ReasonText:
    """One reason text and the model inputs behind it.

    Attributes:
        inputs: Inputs whose contributions are summed for this reason.
        required: Inputs that ``render`` needs; ``render`` may use others as well.
        render: Function from input values to the text.
        if_missing: Text where one of ``required`` is missing; "" where a missing value has no meaning.
    """

    inputs: tuple[str, ...]
    required: tuple[str, ...]
    render: Callable[[InputValues], str]
    if_missing: str = ""


def describe_input(name: str, values: InputValues) -> str:
    """Describe one input by its name and value, for inputs without a reason text.

    Args:
        name: Name of the input.
        values: Input to value.

    Returns:
        Text such as "visits is 3" or "country is France".
    """
    value = values[name]
    if isinstance(value, str):
        return f"{name} is {value or 'empty'}"
    if math.isnan(value):
        return f"{name} is not known"
    return f"{name} is {int(value):,}" if value.is_integer() and abs(value) < 1e15 else f"{name} is {value:.6g}"


def _recency_text(values: InputValues) -> str:
    since = int(values["days_since_last_purchase"])
    ago = f"last bought {_count(since, 'day')} ago" if since else "last bought less than a day ago"
    if "mean_gap_days" not in values:
        return ago
    if math.isnan(values["mean_gap_days"]):
        return f"{ago}; {_ONE_DAY}"
    gap = round(values["mean_gap_days"])
    if gap <= 1:
        return f"{ago}; usually every day"
    return f"{ago}; usually every {gap:,}" + ("" if since > 1 else " days")


def _purchase_rhythm_text(values: InputValues) -> str:
    latest, longest = round(values["last_gap_days"]), round(values["max_gap_days"])
    if values.get("purchase_days") == 2:
        return f"{_count(latest, 'day')} between the only two purchases"
    between = f"{_count(latest, 'day')} between the last two purchases"
    return f"{between}; never longer" if longest <= latest else f"{between}; the longest gap was {longest:,}"


def _frequency_text(values: InputValues) -> str:
    return f"{_count(round(values['purchase_days']), 'purchase day')} in all"


def _activity_text(values: InputValues) -> str:
    lately = round(values["purchase_days_90d"])
    before = round(values["purchase_days_90d"] - values["purchase_days_trend_90d"])
    if lately == before == 0:
        return "no purchase in the last 180 days"
    first = _count(lately, "purchase day") if lately else "no purchase"
    second = before if lately else _count(before, "purchase day")
    return f"{first} in the last 90 days, {second or 'none'} in the 90 days before"


def _spend_text(values: InputValues) -> str:
    mean = f"{_money(values['mean_purchase_amount'])} on a usual purchase day"
    return f"{_spent(values['total_amount'])} in all, {mean}"


def _recent_spend_text(values: InputValues) -> str:
    lately = round(values["amount_90d"], 2)
    before = round(values["amount_180d"] - values["amount_90d"], 2)
    if lately == before == 0:
        return "spent nothing in the last 180 days"
    second = _spent(before) if before < 0 or lately < 0 else _money(before)
    return f"{_spent(lately)} in the last 90 days, {second} in the 90 days before"


def _tenure_text(values: InputValues) -> str:
    days = int(values["tenure_days"])
    return f"customer for {_count(days, 'day') if days else 'less than a day'}"


def _subscription_end_text(values: InputValues) -> str:
    days = math.floor(values["days_to_subscription_end"])
    if days < 0:
        return f"subscription ended {_count(-days, 'day')} ago"
    return f"subscription ends in {_count(days, 'day')}" if days else "subscription ends within a day"


def _subscription_term_text(values: InputValues) -> str:
    return f"subscription for {_count(round(values['subscription_term_days']), 'day')}"


def _renewals_text(values: InputValues) -> str:
    renewals = round(values["renewals"])
    return f"subscription renewed {_count(renewals, 'time')}" if renewals else "subscription never renewed"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if round(amount, 2) else "nothing"


def _spent(amount: float) -> str:
    """Format spend less returns, in the currency of the transactions."""
    return f"returned {_money(-amount)} more than was bought" if round(amount, 2) < 0 else f"spent {_money(amount)}"


REASON_TEXTS = [
    ReasonText(
        (
            "days_since_last_purchase",
            "mean_gap_days",
            "lateness_ratio",
            "silence_share",
            "no_purchase_log_odds_40d",
            "no_purchase_log_odds_60d",
            "no_purchase_log_odds_90d",
        ),
        ("days_since_last_purchase",),
        _recency_text,
    ),
    ReasonText(
        ("last_gap_days", "max_gap_days", "std_gap_days"),
        ("last_gap_days", "max_gap_days"),
        _purchase_rhythm_text,
        if_missing=_ONE_DAY,
    ),
    ReasonText(("purchase_days",), ("purchase_days",), _frequency_text),
    ReasonText(
        ("purchase_days_30d", "purchase_days_90d", "purchase_days_180d", "purchase_days_trend_90d"),
        ("purchase_days_90d", "purchase_days_trend_90d"),
        _activity_text,
    ),
    ReasonText(("total_amount", "mean_purchase_amount"), ("total_amount", "mean_purchase_amount"), _spend_text),
    ReasonText(("amount_30d", "amount_90d", "amount_180d"), ("amount_90d", "amount_180d"), _recent_spend_text),
    ReasonText(("tenure_days",), ("tenure_days",), _tenure_text),
    ReasonText(
        ("days_to_subscription_end",),
        ("days_to_subscription_end",),
        _subscription_end_text,
        if_missing="no subscription",
    ),
    ReasonText(
        ("subscription_term_days",), ("subscription_term_days",), _subscription_term_text, if_missing="no subscription"
    ),
    ReasonText(("renewals",), ("renewals",), _renewals_text),
]
