"""Formats that read a column of timestamps, proposed from its values."""

import re
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pandas.tseries.api import guess_datetime_format  # type: ignore[attr-defined]

from holdfast.ingestion.parsing.day_month_order import compare_orders, swap_days, swap_format
from holdfast.ingestion.parsing.timestamp_formats import (
    ISO_8601,
    NUMERIC_FORMATS,
    check_format,
    compile_format,
    find_width,
    is_day_first,
)
from holdfast.ingestion.parsing.timestamp_reader import ReadTimes, clean_text, read_timestamps

_SHAPES = 20  # most frequent shapes of values for which formats are looked up
_DATES = (
    *(date.replace("/", mark) for mark in "/.-" for date in ("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y")),
    *(date.replace("/", mark) for mark in "/.-" for date in ("%Y/%m/%d", "%Y/%d/%m", "%y/%m/%d")),
    *(date.replace("/", mark) for mark in "/.-" for date in ("%d/%b/%Y", "%d/%b/%y")),
    *(date.replace("/", mark) for mark in "/-" for date in ("%b/%d/%Y", "%b/%d/%y")),
    *("%d %b %Y", "%d %b %y", "%d. %b %Y", "%b %d, %Y", "%b %d %Y", "%Y-%b-%d", "%Y %b %d", "%d%b%Y", "%d%b%y"),
    *("%a, %d %b %Y", "%a %d %b %Y", "%a %b %d %Y", "%a, %b %d, %Y", "%Y年%m月%d日", "%Y년 %m월 %d일"),
)  # fmt: skip
_TIMES = ("", " %H:%M", ", %H:%M", "T%H:%M", " %I:%M %p", ", %I:%M %p", " %I:%M%p", " at %I:%M %p", " %H.%M", ":%H:%M")
_OTHERS = (
    *("%Y%m", "%Y%m%d", "%d%m%Y", "%m%d%Y", "%y%m%d", "%d%m%y", "%m%d%y", "%Y%m%d%H%M%S", "%Y%m%d%H%M", "%y%m%d%H%M%S"),
    *("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y"),
    *NUMERIC_FORMATS,
)  # fmt: skip
# Months without a day are their first day; they are proposed where no format with a day fits.
_MONTHS = (
    *(month.replace("/", mark) for mark in "/.-" for month in ("%Y/%m", "%m/%Y")),
    *(month.replace("-", mark) for mark in "- " for month in ("%b-%Y", "%b-%y", "%Y-%b")),
    *("%Y年%m月", "%Y년 %m월"),
)  # fmt: skip
_CANDIDATES = tuple(date + time for date in _DATES for time in _TIMES)


@dataclass(frozen=True)
class FormatProposal:
    """Format that reads values of a column.

    Attributes:
        timestamp_format: Value for the mapping; ``iso8601`` is the default of the mapping.
        rows: Number of rows that the format reads.
        share: Share of the present values that the format reads.
        abbreviation: Abbreviation of a zone in the format, such as EST: the mapping must set its ``time_zone``.
        order: For a format with day and month in digits: decided by values (``decided``), probable from the dates
            (``likely``, ``unlikely``), contradicted by values that only the other order reads (``contradicted``), or
            ``ambiguous``; otherwise None.
        reason: Sentence on the order of day and month, empty without one.
    """

    timestamp_format: str
    rows: int
    share: float
    abbreviation: str = ""
    order: Literal["decided", "likely", "ambiguous", "unlikely", "contradicted"] | None = None
    reason: str = ""


def propose_formats(text: pa.StringArray) -> list[FormatProposal]:
    """Propose formats for a column of timestamps.

    Args:
        text: Trimmed strings in the order of the rows, null where a value is missing.

    Returns:
        Formats that read at least one value, the best first: by share, then by the order of day and month, then ISO
        8601, then the more specific format. Empty for a column without a known format.
    """
    encoded = pc.dictionary_encode(pc.drop_null(text))
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    values = clean_text(encoded.dictionary)
    if not len(values):
        return []
    times = {format_: read_timestamps(values, format_, "UTC") for format_ in _candidates(values, np.bincount(codes))}
    proposals = []
    for format_, read in times.items():
        rows = int((~np.isnat(read.utc))[codes].sum())
        if rows:
            order, reason = _order(format_, times, codes)
            abbreviation = re.search(r"%[SMp] ?([A-Z]{2,5})$", format_)
            zone = abbreviation[1] if abbreviation else ""
            reason = f"set `time_zone` to the zone that {zone} means" if zone else reason
            proposals.append(FormatProposal(format_, rows, rows / len(codes), zone, order, reason))
    return sorted(proposals, key=_rank)


def _rank(found: FormatProposal) -> tuple[int, bool, int, bool]:
    orders = {None: 0, "decided": 0, "likely": 1, "ambiguous": 2, "unlikely": 3, "contradicted": 4}
    is_short_year_first = found.timestamp_format.startswith("%y") and not find_width(found.timestamp_format)
    return -found.rows, is_short_year_first, orders[found.order], found.timestamp_format != ISO_8601


def _candidates(values: Any, counts: np.ndarray) -> list[str]:
    """Return the formats that fit an example of each frequent shape of the values, and their swapped formats."""
    shapes = pc.replace_substring_regex(pc.replace_substring_regex(values, "[0-9]", "9"), "[A-Za-z]+", "a")
    encoded = pc.dictionary_encode(shapes)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    weights = np.bincount(codes, weights=counts)
    found: dict[str, None] = {ISO_8601: None}
    for shape in np.argsort(-weights, kind="stable")[:_SHAPES]:
        members = np.flatnonzero(codes == shape)
        examples = values.take(members[np.linspace(0, len(members) - 1, min(len(members), 50)).astype(int)])
        example = examples[0].as_py()
        fitting = [format_ for format_ in _CANDIDATES if _may_fit(format_, example)]
        fitting = [format_ for format_ in (*fitting, *_OTHERS) if _reads_one(examples, format_)]
        months = [format_ for format_ in _MONTHS if _may_fit(format_, example) and _reads_one(examples, format_)]
        for format_ in fitting or months or _guess(example):
            found |= {format_: None}
            if is_day_first(format_) is not None:
                found |= {swap_format(format_): None}
    return list(found)


def _may_fit(format_: str, example: str) -> bool:
    literals = set(re.sub("%[A-Za-z]", "", format_))
    return literals <= set(example) and re.match(compile_format(format_)[0], example) is not None


def _reads_one(examples: Any, format_: str) -> bool:
    return not np.isnat(read_timestamps(examples, format_, "UTC").utc).all()


def _guess(example: str) -> list[str]:
    """Guess the format of a value of an unusual shape by pandas."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guessed = [guess_datetime_format(example, dayfirst=day_first) for day_first in (True, False)]
    formats = []
    for format_ in filter(None, guessed):
        try:
            formats.append(check_format(format_))
        except ValueError:
            continue
    return formats


def _order(format_: str, times: dict[str, ReadTimes], codes: np.ndarray) -> tuple[Any, str]:
    day_first = is_day_first(format_)
    if day_first is None:
        return None, ""
    position = "day first" if day_first else "month first"
    days = times[format_].days
    is_read, fits_both = ~np.isnat(days), ~np.isnat(swap_days(days))
    only_this = int((is_read & ~fits_both)[codes].sum())
    only_other = int((~is_read & ~np.isnat(times[swap_format(format_)].days))[codes].sum())
    if only_other and only_other >= only_this:
        return "contradicted", f"not {position}: {only_other:,} values would have a month above 12"
    if only_this and only_other:
        return "ambiguous", f"{only_this:,} values have a day above 12, and {only_other:,} a month: two orders"
    if only_this:
        return "decided", f"{position}, because {only_this:,} values have a day above 12"
    if format_.startswith("%Y"):
        return ("unlikely" if day_first else "likely"), ""
    days = days[codes[fits_both[codes]]]
    this, other = compare_orders(days), compare_orders(swap_days(days))
    if other.is_wrong() and not this.is_wrong():
        return "likely", f"{position}: the dates would be scattered oddly in the other order"
    if this.is_wrong() and not other.is_wrong():
        return "unlikely", f"not {position}: the dates would be scattered oddly"
    return "ambiguous", f"no day is above 12 in {this.dates:,} dates: day and month may be exchanged"
