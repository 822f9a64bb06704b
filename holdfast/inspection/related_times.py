"""Relations between columns of times that leave one reading: the same times in days, and times with a fixed term."""

import numpy as np
import pandas as pd

from holdfast.inspection.column_evidence import ColumnEvidence
from holdfast.inspection.time_evidence import read_first_reading

_MIN_ROWS = 20
_MAX_TERMS = 5
_NEARLY_ALL = 0.999
_MOST, _SHORTLY, _NONE = 0.9, np.timedelta64(3, "D"), np.timedelta64(0, "us")
_DAY = np.timedelta64(1, "D")


def choose_earliest(best: ColumnEvidence, columns: list[ColumnEvidence]) -> tuple[ColumnEvidence, list[ColumnEvidence]]:
    """Leave out times that follow from another column: its days, or its times plus a term, as a due date is.

    Args:
        best: Likeliest column.
        columns: Columns of times, ``best`` among them.

    Returns:
        Chosen column, and the columns that remain.
    """
    times = {column.text: read_first_reading(column.column, column.times) for column in columns}
    remaining = [
        column
        for column in columns
        if not any(other is not column and _follows_from(times[column.text], times[other.text]) for other in columns)
    ]
    if not remaining:
        return best, columns
    if (first := _find_first_step(remaining, times)) is not None:
        return first, [first]
    return (best if best in remaining else remaining[0]), remaining


def _find_first_step(columns: list[ColumnEvidence], times: dict[str, np.ndarray]) -> ColumnEvidence | None:
    """Return the column whose times lie shortly before those of all others, as an order does before its payment."""
    for first in columns:
        lags = [times[other.text] - times[first.text] for other in columns if other is not first]
        lags = [lag[~np.isnat(lag)] for lag in lags]
        if first.present == first.rows and all(
            len(lag) >= _MIN_ROWS and (lag >= _NONE).mean() > _NEARLY_ALL and np.quantile(lag, _MOST) <= _SHORTLY
            for lag in lags
        ):
            return first
    return None


def _follows_from(times: np.ndarray, others: np.ndarray) -> bool:
    """Return whether times are the days of others, or lie after them by one of a few terms of whole days."""
    known = ~(np.isnat(times) | np.isnat(others))
    if (
        known.sum() < _MIN_ROWS
        or known.sum() < (~np.isnat(times)).sum()
        or np.array_equal(times, others, equal_nan=True)
    ):
        return False
    later, earlier = pd.Series(times[known]), pd.Series(others[known])
    if ((later == earlier.dt.floor("D")).mean() > _NEARLY_ALL) and (later != earlier).any():
        return True
    terms = (times[known] - others[known]) / _DAY
    return bool((terms >= 1).all() and (terms % 1 == 0).all() and len(np.unique(terms)) <= _MAX_TERMS)
