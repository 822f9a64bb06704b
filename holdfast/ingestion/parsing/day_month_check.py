"""Check that the order of day and month in the mapping is that of the values."""

import numpy as np

from holdfast.core.errors import IngestError
from holdfast.ingestion.parsing.columns import TextColumn
from holdfast.ingestion.parsing.day_month_order import ERROR_LEVEL, compare_orders, swap_days, swap_format
from holdfast.ingestion.parsing.timestamp_formats import is_day_first

# Of the values that decide the order: a larger share for the other order cannot be slips of single rows. About two in
# three further values would be read in silence with day and month exchanged.
_STRAY_SHARE = 0.001
_ORDERS = {True: "day first", False: "month first"}


def check_day_month_order(
    column: TextColumn, format_: str, days: np.ndarray, other_days: np.ndarray, is_confirmed: bool
) -> list[str]:
    """Check the order of day and month by all values, and by those of each file.

    Args:
        column: Column as text.
        format_: Format with day and month in digits.
        days: Date of each row as read by the format (datetime64[D]), NaT where it reads none, shape (rows,).
        other_days: Date of each unreadable row in the other order, NaT in all other rows.
        is_confirmed: True where the mapping confirms the order: only values that fit no other order contradict it.

    Returns:
        Notes on doubtful values.

    Raises:
        IngestError: The values contradict the order.
    """
    files = np.repeat(np.arange(len(column.files)), [file.rows.num_rows for file in column.files])
    is_read, is_swapped = ~np.isnat(days), ~np.isnat(other_days)
    fits_both = ~np.isnat(swap_days(days))
    decided = np.bincount(files[is_read & ~fits_both], minlength=len(column.files))
    swapped = np.bincount(files[is_swapped], minlength=len(column.files))
    if swapped.sum() > _STRAY_SHARE * (swapped.sum() + decided.sum()) or ((swapped > 0) & (decided == 0)).any():
        raise _contradiction(column, format_, is_swapped, is_read, int(decided.sum()))
    notes = []
    if swapped.sum():
        notes.append(
            f"Column {column.name!r}: values with day and month exchanged went to quarantine: "
            f"{column.describe_values(is_swapped)} (rows: {swapped.sum():,})."
        )
    if is_confirmed or format_.startswith("%Y") or "%a" in format_ or "%A" in format_:
        return notes
    undecided = [fits_both & (files == number) for number in np.flatnonzero(decided == 0)]
    if not decided.any() and len(undecided) > 1:
        undecided.append(fits_both)
    undecided = [rows for rows in undecided if rows.any()]
    doubtful = False
    for rows in undecided:
        evidence = compare_orders(days[rows])
        if evidence.is_wrong(ERROR_LEVEL / len(undecided)):
            raise _unlikely(column, format_, rows, days, is_whole=not decided.any())
        doubtful |= evidence.is_doubtful
    if doubtful:
        notes.append(
            f"Column {column.name!r}: no day is above 12 where {format_!r} reads the {_ORDERS[_day_first(format_)]}. "
            f"Check that day and month are not exchanged; the other order is {swap_format(format_)!r}."
        )
    return notes


def _day_first(format_: str) -> bool:
    return bool(is_day_first(format_))


def _contradiction(
    column: TextColumn, format_: str, is_swapped: np.ndarray, is_read: np.ndarray, decided: int
) -> IngestError:
    other = swap_format(format_)
    both = f" {decided:,} other values fit {format_!r} only: the files mix two orders." if decided else ""
    remedy = (
        "Ingest the files of each order with a mapping of their own, or list both formats."
        if decided
        else f'Set `timestamp_format: "{other}"`, which reads these values'
        + (f" and the {is_read.sum():,} others." if is_read.any() else ".")
    )
    return IngestError(
        f"Column {column.name!r}: day and month are swapped. {is_swapped.sum():,} of {len(column.text):,} values have "
        f"a month above 12 in {format_!r} ({_ORDERS[_day_first(format_)]}): {column.describe_values(is_swapped)}."
        f"{both} {remedy}"
    )


def _unlikely(column: TextColumn, format_: str, rows: np.ndarray, days: np.ndarray, is_whole: bool) -> IngestError:
    day_first = _day_first(format_)
    distinct = np.unique(days[rows])
    other = np.unique(swap_days(distinct))
    return IngestError(
        f"Column {column.name!r}: day and month are probably swapped. In {format_!r} ({_ORDERS[day_first]}) the "
        f"{len(distinct):,} dates lie between {distinct[0]} and {distinct[-1]}, none with a day above 12; in the other "
        f"order between {other[0]} and {other[-1]}: {column.describe_values(rows)}. Set "
        f'`timestamp_format: "{swap_format(format_)}"`'
        + ("" if is_whole else " for this file only (by `files` in the mapping)")
        + f", or confirm the order with `dayfirst: {str(day_first).lower()}`."
    )
