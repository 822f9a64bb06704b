"""Order of day and month in dates such as 03/04/2025, decided by the values of a column."""

import re
from dataclasses import dataclass
from math import exp, lgamma

import numpy as np

# Chance that dates of the right order look wrong, for an error (with the other order unremarkable) and for a note.
ERROR_LEVEL = 0.001
NOTE_LEVEL = 0.05
_LEAST_MONTHS = 3
_LEAST_STEPS = 7  # the dates of 7 steps in random order ascend or descend with a chance below 2/7! = 0.0004


@dataclass(frozen=True)
class OrderEvidence:
    """Comparison of two orders for dates that fit both.

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

    def is_wrong(self, level: float = ERROR_LEVEL) -> bool:
        """Decide whether the first order is wrong.

        Args:
            level: Chance of rejecting a right order.

        Returns:
            True where the other order fits at least as well and the first one does not.
        """
        if self.is_other_sorted:
            return self.chance <= self.chance_of_other
        return self.chance < level and self.chance_of_other > NOTE_LEVEL

    @property
    def is_doubtful(self) -> bool:
        """Return True where the other order fits better, without certainty."""
        return self.chance < NOTE_LEVEL and self.chance_of_other > 10 * self.chance


def swap_format(format_: str) -> str:
    """Exchange day and month in a strptime format.

    Args:
        format_: Format with day and month in digits.

    Returns:
        The other format.
    """
    return re.sub(r"(%-?)([dm])", lambda found: found[1] + ("m" if found[2] == "d" else "d"), format_)


def swap_days(days: np.ndarray) -> np.ndarray:
    """Exchange day and month of dates.

    Args:
        days: Dates (datetime64[D]), shape (rows,).

    Returns:
        Dates with the day as month and the month as day, NaT for a day above 12.
    """
    years, months = days.astype("datetime64[Y]"), days.astype("datetime64[M]")
    month, day = (months - years).astype(np.int64), (days - months).astype(np.int64)
    swapped = (years.astype("datetime64[M]") + day).astype("datetime64[D]") + month
    return np.where(day < 12, swapped, np.datetime64("NaT"))


def compare_orders(days: np.ndarray) -> OrderEvidence:
    """Compare two orders by dates that fit both.

    Dates of a shop fall on every day of the month: if all days are 1 to 12 although the dates span more, the order is
    probably wrong. The chance is that of drawing the distinct dates, all with a day up to 12, from the span.

    Args:
        days: Dates of the rows (datetime64[D]) without a day above 12, in the order of the rows, at least one.

    Returns:
        Evidence against the order by which the dates were read.
    """
    other_days = swap_days(days)
    distinct = np.unique(days)
    return OrderEvidence(
        chance=_chance_of_low_days(distinct),
        chance_of_other=_chance_of_low_days(np.unique(other_days)),
        is_other_sorted=_is_sorted(other_days) and not _is_sorted(days),
        dates=len(distinct),
    )


def are_monthly(distinct: np.ndarray) -> bool:
    """Return whether dates are one day of each of several months, as those of bills are.

    Args:
        distinct: Different dates (datetime64[D]).

    Returns:
        True for at least three dates, all on the same day of a month.
    """
    months = distinct.astype("datetime64[M]")
    return len(np.unique(months)) == len(distinct) >= _LEAST_MONTHS and len(np.unique(distinct - months)) == 1


def _chance_of_low_days(distinct: np.ndarray) -> float:
    # Such dates are not spread evenly; in the other order they would be days of one month of several years.
    if are_monthly(distinct) and len(np.unique(distinct.astype("datetime64[Y]"))) > 1:
        return 1.0
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
