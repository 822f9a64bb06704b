"""Evidence of a column of times: the formats that read its values."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from holdfast.ingestion.parsing.columns import TextColumn
from holdfast.ingestion.parsing.day_month_order import are_monthly
from holdfast.ingestion.parsing.format_proposals import FormatProposal, propose_formats
from holdfast.ingestion.parsing.timestamp_formats import ISO_8601
from holdfast.ingestion.parsing.timestamp_reader import clean_text, read_timestamps
from holdfast.inspection.column_names import split_name

_MIN_SHARE = 0.6
_FIRST_VALUES = 200
_FIRST_SHARE = 0.3
_NEARLY_ALL = 0.999
_LEAST_ADDED = 0.5  # share of the values left that a further format must read
_NEVER_WRITTEN = ("%m.%d.", "excel_1904")  # a month first with points; a Mac's spreadsheets before 2011
_MANY_DATES, _FEW_DAYS, _MANY_YEARS = 12, 3, 5
_YEARS = np.datetime64("1970-01-02"), np.datetime64("now") + np.timedelta64(366, "D")


@dataclass(frozen=True)
class TimeEvidence:
    """Formats that read the times of a column.

    Attributes:
        readings: Formats of each possible reading, the likeliest first; empty for a column without times. More than
            one reading where the values do not decide.
        share: Share of the present values that the first reading reads.
        reason: Evidence for the first reading.
        examples: A value as each reading reads it.
        are_months: Whether the first reading reads the first day of several months only.
    """

    readings: tuple[tuple[str, ...], ...] = ()
    share: float = 0.0
    reason: str = ""
    examples: tuple[str, ...] = ()
    are_months: bool = False


def measure_times(column: TextColumn) -> TimeEvidence:
    """Find the formats that read a column as times.

    Args:
        column: Column as text.

    Returns:
        Possible readings.
    """
    present = pc.drop_null(column.text)
    if column.is_time:
        return TimeEvidence(((ISO_8601,),), 1.0, "a column of times in the file") if len(present) else TimeEvidence()
    first = propose_formats(pc.unique(present[: _FIRST_VALUES * 10])[:_FIRST_VALUES]) if len(present) else []
    if not first or first[0].share < _FIRST_SHARE:
        return TimeEvidence()
    values = clean_text(pc.unique(present))
    proposals, times = [], {}
    for proposal in propose_formats(present):
        found = read_timestamps(values, proposal.timestamp_format, "UTC").utc
        if not proposal.timestamp_format.startswith(_NEVER_WRITTEN) and _is_plausible(found, proposal.timestamp_format):
            proposals.append(proposal)
            times[proposal.timestamp_format] = found
    if not proposals:
        return TimeEvidence()
    best = proposals[0]
    rivals = [
        p
        for p in proposals[1:]
        if p.rows == best.rows
        and (
            p.order not in ("unlikely", "contradicted")
            or (p.order == "unlikely" and _are_first_days(times[p.timestamp_format]))
        )
        and not np.array_equal(times[p.timestamp_format], times[best.timestamp_format], equal_nan=True)
    ]
    if rivals:
        best, rivals = _prefer_months(column.name, [best, *rivals], times)
    formats = _add_formats(best, proposals, times)
    read = ~np.isnat(np.stack([times[name] for name in formats])).all(axis=0)
    rows = pc.index_in(clean_text(present), value_set=values).to_numpy(zero_copy_only=False)
    share = float(read[rows].mean())
    if share < _MIN_SHARE:
        return TimeEvidence()
    example = values[int(np.flatnonzero(read)[0])].as_py()
    reason = best.reason or f"reads {share:.1%} of the values, such as {example}"
    if best.order == "ambiguous" and not rivals:
        reason = f"day first, as dates with points are written, such as {example}"
    readings = (formats, *((rival.timestamp_format,) for rival in rivals))
    examples = _show_difference(values, [times[r[0]] for r in readings])
    return TimeEvidence(readings, share, reason, examples, _are_first_days(times[formats[0]]))


def read_first_reading(column: TextColumn, evidence: TimeEvidence) -> np.ndarray:
    """Read the times of a column in its likeliest reading.

    Args:
        column: Column as text.
        evidence: Formats of the column, at least one reading.

    Returns:
        UTC times, NaT where a value is none, shape (rows,).
    """
    found = np.full(len(column.text), np.datetime64("NaT", "us"))
    text = clean_text(column.text)
    for name in evidence.readings[0]:
        times = read_timestamps(text, name, "UTC").utc
        found = np.where(np.isnat(found), times, found)
    return found


def _show_difference(values: Any, readings: list[np.ndarray]) -> tuple[str, ...]:
    """Show, in each reading, the first value that the readings read differently."""
    differs = ~np.all([reading == readings[0] for reading in readings], axis=0) | (len(readings) == 1)
    position = int(np.flatnonzero(differs)[0])
    days = [np.datetime_as_string(reading[position], unit="D") for reading in readings]
    return tuple(f"{values[position].as_py()!r} is {day}" for day in days)


def _is_plausible(times: np.ndarray, timestamp_format: str) -> bool:
    """Return False for times in the future, or on the same days of the month through many years.

    The second are dates with a year of two digits that a format reads as the day.
    """
    known = times[~np.isnat(times)]
    if not len(known) or ((known >= _YEARS[0]) & (known < _YEARS[1])).mean() <= _MIN_SHARE:
        return False
    if "%y" not in timestamp_format:
        return True
    dates = np.unique(known.astype("datetime64[D]"))
    days_of_month = np.unique((dates - dates.astype("datetime64[M]")).astype(int))
    years = int((dates[-1] - dates[0]).astype(int)) / 365
    return not (len(dates) > _MANY_DATES and len(days_of_month) <= _FEW_DAYS and years > _MANY_YEARS)


def _prefer_months(
    name: str, readings: list[FormatProposal], times: dict[str, np.ndarray]
) -> tuple[FormatProposal, list[FormatProposal]]:
    """Prefer the reading in which each date is the first of a month.

    The others remain possible where they are days of one January, unless the name speaks for months: no purchases
    lie in the first days of the Januaries of several years only.
    """
    months = [p for p in readings if _are_first_days(times[p.timestamp_format])]
    others = [p for p in readings if p not in months]
    if len(months) != 1:
        return readings[0], readings[1:]
    years = min(
        (len(np.unique(_list_days(times[p.timestamp_format]).astype("datetime64[Y]"))) for p in others), default=1
    )
    is_certain = years > 1 or split_name(name).is_month
    return replace(months[0], reason="every day is the first of a month"), [] if is_certain else others


def _list_days(times: np.ndarray) -> np.ndarray:
    return np.unique(times[~np.isnat(times)].astype("datetime64[D]"))


def _are_first_days(times: np.ndarray) -> bool:
    days = _list_days(times)
    return are_monthly(days) and bool((days == days.astype("datetime64[M]")).all())


def _add_formats(
    best: FormatProposal, proposals: list[FormatProposal], times: dict[str, np.ndarray]
) -> tuple[str, ...]:
    """Add formats for values that the best one does not read, where they agree on all values that both read."""
    formats = [best.timestamp_format]
    known = times[best.timestamp_format].copy()
    for proposal in proposals[1:]:
        left = np.isnat(known)
        if 1 - left.mean() >= _NEARLY_ALL:
            break
        found = times[proposal.timestamp_format]
        agrees = np.isnat(found) | np.isnat(known) | (found == known)
        if proposal.order in (None, "decided") and agrees.all() and (~np.isnat(found))[left].mean() >= _LEAST_ADDED:
            formats.append(proposal.timestamp_format)
            known[left] = found[left]
    return tuple(formats)
