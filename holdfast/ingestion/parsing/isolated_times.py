"""Times far from all others of a source: placeholders such as 1970-01-01, and slips such as a wrong year."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from holdfast.ingestion.reading.source import RowIssue

_PLACEHOLDER = "event_timestamp is a placeholder, years from all other rows"
_ISOLATED = "event_timestamp is years from all other rows"
# Days that programs write for a missing date (Unix, FAT, GPS, databases, Apple), and the day before in UTC.
_FIRST_DAYS = ["1970-01-01", "1980-01-01", "1980-01-06", "1990-01-01", "1999-12-31", "2000-01-01", "2001-01-01"]
_PLACEHOLDERS = np.array(_FIRST_DAYS, dtype="datetime64[D]").astype(np.int64)
_LAST_DAY = 110_000  # of the year 2262
_LEAST_GAP = 730  # days; a first order one year before the opening stays
_PLACEHOLDER_MULTIPLE = 5  # of the widest gap between other days with rows: in sparse data, such a day is a date
_LARGEST_SHARE = 0.01
# The widest of m gaps between days with rows is the first or last with a chance of 2/m, and k times as wide as the
# second with a chance of 1/k or less, if gaps have a Pareto distribution of index 1 or more: 0.001 for m k = 2000.
_ERROR_LEVEL = 0.001
_LEAST_GAPS = 10
_LEAST_ROWS = 3


@dataclass(frozen=True)
class IsolatedTimes:
    """Rows far from all others in time.

    Attributes:
        issues: Reasons for quarantine of each file.
        notes: Sentences for the person who ingests the source.
    """

    issues: list[list[RowIssue]]
    notes: list[str]


def find_isolated_times(files: Sequence[pd.Series], ingested_at: datetime | None = None) -> IsolatedTimes:
    """Find times that would be the edge of history, although they are no part of it.

    Rows are isolated if at most one in a hundred lies beyond a gap of two years or more that is far wider than every
    other gap between days with rows. A placeholder needs a gap of two years, five times as wide as any other, and may
    be half of the rows.

    Args:
        files: Times of the rows of each file (UTC), NaT allowed.
        ingested_at: Time of the ingest (UTC); later times are no part of history. None for no limit.

    Returns:
        Isolated rows, judged over all files of the source.
    """
    days = [times.to_numpy(dtype="datetime64[us]").astype("datetime64[D]").astype(np.int64) for times in files]
    counts = sum(np.bincount(of_file[of_file >= 0], minlength=_LAST_DAY) for of_file in days)  # since 1970, without NaT
    distinct = np.flatnonzero(counts)
    weights = np.asarray(counts)[distinct]
    if weights.sum() < _LEAST_ROWS:
        return IsolatedTimes([[] for _ in files], [])
    last = _LAST_DAY if ingested_at is None else int(ingested_at.timestamp() // 86_400) + 1
    is_placeholder = _find_placeholders(distinct, weights, last)
    is_isolated = np.zeros(len(distinct), dtype=bool)
    is_isolated[~is_placeholder] = _find_ends(distinct[~is_placeholder], weights[~is_placeholder])
    issues: list[list[RowIssue]] = [[] for _ in files]
    if not (is_placeholder | is_isolated).any():
        return IsolatedTimes(issues, [])
    for of_file, found in zip(days, issues, strict=True):
        for reason, those in ((_PLACEHOLDER, distinct[is_placeholder]), (_ISOLATED, distinct[is_isolated])):
            rows = np.isin(of_file, those)
            if rows.any():
                found.append(RowIssue(reason, rows))
    return IsolatedTimes(issues, [_describe(distinct, weights, is_placeholder | is_isolated)])


def _find_placeholders(distinct: np.ndarray, weights: np.ndarray, last: int) -> np.ndarray:
    is_placeholder = np.isin(distinct, [*_PLACEHOLDERS, *(_PLACEHOLDERS - 1)])
    others = distinct[~is_placeholder]
    if not is_placeholder.any() or 2 * weights[is_placeholder].sum() > weights.sum() or weights.sum() < _LEAST_ROWS:
        return np.zeros(len(distinct), dtype=bool)
    position = np.searchsorted(others, distinct)
    before = np.where(position > 0, distinct - others[np.maximum(position - 1, 0)], np.inf)
    after = np.where(position < len(others), others[np.minimum(position, len(others) - 1)] - distinct, np.inf)
    body = others[~_find_ends(others, weights[~is_placeholder]) & (others <= last)]
    least = max(_LEAST_GAP, _PLACEHOLDER_MULTIPLE * np.diff(body).max(initial=0))
    return is_placeholder & (np.minimum(before, after) >= least)


def _find_ends(distinct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mark the days before the first and behind the last gap that isolate at most one row in a hundred."""
    isolated = np.zeros(len(distinct), dtype=bool)
    allowed = max(1, int(_LARGEST_SHARE * weights.sum()))
    cumulative = np.cumsum(weights)
    start = int(np.searchsorted(cumulative, allowed, side="right"))  # the first day that is no candidate
    stop = len(distinct) - int(np.searchsorted(np.cumsum(weights[::-1]), allowed, side="right"))
    gaps = np.diff(distinct)
    inner = gaps[start : stop - 1]
    if len(inner) < _LEAST_GAPS:
        return isolated
    least = max(_LEAST_GAP, 2 / _ERROR_LEVEL / len(inner) * inner.max())
    for position in range(start - 1, -1, -1):  # outward from the body
        if gaps[position] >= least:
            isolated[: position + 1] = True
            break
    for position in range(stop - 1, len(gaps)):
        if gaps[position] >= least:
            isolated[position + 1 :] = True
            break
    return isolated


def _describe(distinct: np.ndarray, weights: np.ndarray, found: np.ndarray) -> str:
    dates, rest = distinct[found].astype("datetime64[D]"), distinct[~found].astype("datetime64[D]")
    listed = ", ".join(str(date) for date in dates[:3]) + (", …" if len(dates) > 3 else "")
    return (
        f"Rows years from all others ({rest[0]} to {rest[-1]}) went to quarantine: {listed} "
        f"(rows: {weights[found].sum():,})."
    )
