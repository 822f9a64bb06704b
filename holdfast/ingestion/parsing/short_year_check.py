"""Check that day and year of two digits are not exchanged, as in 25/01/02 for 2025-01-02 and 2002-01-25."""

import re

import numpy as np

from holdfast.core.errors import IngestError
from holdfast.ingestion.parsing.columns import TextColumn
from holdfast.ingestion.parsing.timestamp_formats import is_day_first

# A larger share of values that only the other order reads cannot be slips.
_STRAY_SHARE = 0.05
# Ten years with sales on two days of the month only, evenly spread: a chance of 465 * (2/30)^10 < 1e-9.
_MOST_DAYS = 2
_LEAST_YEARS = 10
# Four years suffice if the rows ascend or descend in the other order only: a yearly bill does so in both.
_LEAST_YEARS_UNSORTED = 4


def swap_day_and_year(format_: str) -> str | None:
    """Exchange day and year in a format with a year of two digits.

    Args:
        format_: strptime format or name of a format.

    Returns:
        The other format; None without day, month and a year of two digits.
    """
    if sorted(re.findall(r"%-?([dmyY])", format_)) != ["d", "m", "y"]:
        return None
    return re.sub(r"%(-?)([dy])", lambda found: "%y" if found[2] == "d" else "%d", format_)


def check_short_year(
    column: TextColumn, format_: str, days: np.ndarray, other_days: np.ndarray, is_confirmed: bool
) -> None:
    """Check the order of day and year by all values.

    Args:
        column: Column as text.
        format_: Format with day, month and a year of two digits.
        days: Date of each row as read by the format (datetime64[D]), NaT where it reads none, shape (rows,).
        other_days: Date of each unreadable row in the other order, NaT in all other rows.
        is_confirmed: True where the mapping confirms the order: only values that fit no other order contradict it.

    Raises:
        IngestError: The values contradict the order.
    """
    distinct = np.unique(days[~np.isnat(days)])
    months = distinct.astype("datetime64[M]")
    years = distinct.astype("datetime64[Y]").astype(np.int64) + 1970
    days_of_month = np.unique((distinct - months).astype(np.int64))
    only_other = ~np.isnat(other_days)
    is_stray = only_other.sum() <= _STRAY_SHARE * (~column.missing).sum()
    fits_other = (years % 100 >= 1) & (years % 100 <= 31)
    is_sorted = _is_sorted(days)
    least_years = _LEAST_YEARS if is_sorted or not _is_sorted(_swap(days)) else _LEAST_YEARS_UNSORTED
    is_odd = len(days_of_month) <= _MOST_DAYS and len(np.unique(years)) >= least_years and fits_other.all()
    if (is_stray or not fits_other.all()) and (not is_odd or is_confirmed):
        return
    rows = only_other if not is_stray else ~np.isnat(days)
    order = str(is_day_first(format_)).lower()
    confirm = f", or confirm the order with `dayfirst: {order}`" if is_stray else ""
    raise IngestError(
        f"Column {column.name!r}: day and year are swapped in {format_!r}: {column.describe_values(rows)}. Set "
        f'`timestamp_format: "{swap_day_and_year(format_)}"`{confirm}.'
    )


def _swap(days: np.ndarray) -> np.ndarray:
    """Exchange the day and the last two digits of the year; NaT where there is no such day."""
    months = days.astype("datetime64[M]")
    years = days.astype("datetime64[Y]").astype(np.int64) + 1970
    day, short_year = (days - months).astype(np.int64) + 1, years % 100
    month = (months - days.astype("datetime64[Y]")).astype(np.int64)
    year = 1970 + (day - 70) % 100
    first = ((year - 1970) * 12 + month).astype("datetime64[M]")
    swapped = first.astype("datetime64[D]") + (short_year - 1)
    return np.where(swapped.astype("datetime64[M]") == first, swapped, np.datetime64("NaT"))


def _is_sorted(days: np.ndarray) -> bool:
    steps = np.diff(days[~np.isnat(days)].astype(np.int64))
    return bool((steps >= 0).all() or (steps <= 0).all())
