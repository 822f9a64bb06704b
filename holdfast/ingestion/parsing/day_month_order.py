"""Order of day and month in dates such as 03/04/2025, decided by the values of a column."""

import re
from dataclasses import dataclass
from math import exp, lgamma

import numpy as np

# Chance that dates of the right order look wrong, for an error (with the other order unremarkable) and for a note.
ERROR_LEVEL = 0.001
NOTE_LEVEL = 0.05
_LEAST_STEPS = 7  # the dates of 7 steps in random order ascend or descend with a chance below 2/7! = 0.0004


@dataclass(frozen=True)
class OrderEvidence:
    """Comparison of two orders for dates that both orders read.

    Attributes:
        chance: Chance of dates with days from 1 to 12 only, if the first order is right and dates are spread evenly.
        chance_of_other: The same for the other order.
        is_other_sorted: True where the rows ascend (or descend) in the other order only.
        dates: Number of distinct dates.
    """

    chance: float
    chance_of_other: float
    is_other_sorted: bool
    dates: int

    @property
    def is_wrong(self) -> bool:
        """Return True where the first order is wrong at the level of an error."""
        if self.is_other_sorted:
            return self.chance <= self.chance_of_other
        return self.chance < ERROR_LEVEL and self.chance_of_other > NOTE_LEVEL

    @property
    def is_doubtful(self) -> bool:
        """Return True where the other order fits better, without certainty."""
        return self.chance < NOTE_LEVEL and self.chance_of_other > 10 * self.chance


def swap_day_and_month(format_: str) -> str | None:
    """Exchange day and month in a format.

    Args:
        format_: strptime format or name of a format.

    Returns:
        The other format; None for a format without a day and a month in digits.
    """
    if len(re.findall(r"%-?d", format_)) != 1 or len(re.findall(r"%-?m", format_)) != 1:
        return None
    return re.sub(r"(%-?)([dm])", lambda found: found[1] + ("m" if found[2] == "d" else "d"), format_)


def is_year_first(format_: str) -> bool:
    """Return True for a format that starts with a year of four digits."""
    return format_.startswith("%Y")


def compare_orders(days: np.ndarray, other_days: np.ndarray) -> OrderEvidence:
    """Compare two orders by dates that both read.

    Dates of a shop fall on every day of the month: if all days are 1 to 12 although the dates span more, the order is
    probably wrong. The chance is that of drawing the distinct dates, all with a day up to 12, from the span.

    Args:
        days: Dates of the rows in one order (datetime64[D]), in the order of the rows.
        other_days: Dates of the same rows in the other order.

    Returns:
        Evidence against the first order.
    """
    distinct = np.unique(days)
    return OrderEvidence(
        chance=_chance_of_low_days(distinct),
        chance_of_other=_chance_of_low_days(np.unique(other_days)),
        is_other_sorted=_is_sorted(other_days) and not _is_sorted(days),
        dates=len(distinct),
    )


def _chance_of_low_days(distinct: np.ndarray) -> float:
    span = np.arange(distinct[0], distinct[-1] + 1)
    low = int(((span - span.astype("datetime64[M]")).astype(np.int64) < 12).sum())
    count = len(distinct)
    if count > low:
        return 0.0
    return exp(_log_choose(low, count) - _log_choose(len(span), count))


def _log_choose(total: int, count: int) -> float:
    return lgamma(total + 1) - lgamma(count + 1) - lgamma(total - count + 1)


def _is_sorted(days: np.ndarray) -> bool:
    steps = np.diff(days.astype(np.int64))
    steps = steps[steps != 0]
    return len(steps) >= _LEAST_STEPS and bool((steps > 0).all() or (steps < 0).all())
