"""Choice of the column with the time of a transaction, and of its format."""

from zoneinfo import available_timezones

import numpy as np
import pyarrow.compute as pc

from holdfast.ingestion.parsing.timestamp_formats import ISO_8601, is_day_first
from holdfast.inspection.column_evidence import ColumnEvidence
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question
from holdfast.inspection.related_times import choose_earliest
from holdfast.inspection.row_kinds import is_won

_KEY = "columns.event_timestamp"
_MAX_STAGES = 15
_CLOSE_OF_DEAL = 3
_CLOCK = r"^[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9])?(?: ?[AaPp][Mm])?$"


def choose_time(
    columns: list[ColumnEvidence], given: str | list[str] | None = None
) -> tuple[ColumnEvidence | None, Proposal]:
    """Choose the column of times.

    Args:
        columns: Evidence of all columns.
        given: Column, or those of day and time of day, that a person has named; None where the values decide.

    Returns:
        Chosen or likeliest column, None without one; and its part of the proposal.
    """
    if given is not None:
        named = [c for name in ([given] if isinstance(given, str) else given) for c in columns if c.text == name]
        return named[0], choose_format(*named[:2])
    candidates = _prefer_dates([column for column in columns if column.is_time])
    candidates = [column for column in candidates if not column.is_constant] or candidates
    if not candidates:
        question = Question(
            "No column holds times in a known format. Which is the time of a purchase? Another format than ISO 8601 "
            "needs --set timestamp_format=FORMAT too.",
            tuple(Answer(f"the column {c.text!r}", {_KEY: c.text}) for c in _list_possible_times(columns))[:6],
            (_KEY,),
        )
        return None, Proposal(questions=(question,))
    has_deals = any(_has_won_deals(column) for column in columns)
    support = {column.text: _measure_support(column, has_deals) for column in candidates}
    best = max(candidates, key=lambda column: (support[column.text], *_rank(column)))
    rivals = [other for other in candidates if support[other.text] == support[best.text]]
    if len(rivals) > 1:
        best, rivals = choose_earliest(best, rivals)
    rivals = [other for other in rivals if other is not best and not _same_times(best, other)]
    decision = Decision(_KEY, best.text, _explain(best, candidates))
    clock = _find_clock(best, columns)
    if clock is not None and not rivals:
        value = [best.text, clock.text]
        reason = f"{best.text} has days, {clock.text} the time of day"
        return best, Proposal((Decision(_KEY, value, reason),)) + choose_format(best, clock)
    if rivals:
        listed = (best, *rivals)
        question = Question(
            f"{' and '.join(repr(c.text) for c in listed)} hold times. Which is the time of the purchase?",
            tuple(Answer(f"the column {c.text!r}", {_KEY: c.text}) for c in listed),
            (_KEY,),
        )
        return best, Proposal(questions=(question,)) + choose_format(best)
    return best, Proposal(decisions=(decision,)) + choose_format(best)


def choose_zone(columns: list[ColumnEvidence]) -> Proposal:
    """Choose the time zone where a column has the name of one on all rows.

    Args:
        columns: Evidence of all columns.

    Returns:
        Time zone, or nothing.
    """
    for column in columns:
        if column.name.is_zone and column.distinct == 1 and column.present == column.rows:
            zone = column.column.text[0].as_py()
            if "/" in zone and zone in available_timezones():
                return Proposal((Decision("time_zone", zone, f"{column.text} of all rows"),))
    return Proposal()


def _prefer_dates(candidates: list[ColumnEvidence]) -> list[ColumnEvidence]:
    """Leave out bare numbers that read as dates unless no column holds written dates.

    Then the name must speak for dates, or every value be a day such as 20250131.
    """
    written = [c for c in candidates if not c.is_number or c.column.is_time or c.has_separators]
    named = [c for c in candidates if c.name.time_support > 0 or c.name.is_date]
    return written or named or [c for c in candidates if c.is_compact_day or c.is_epoch]


def _list_possible_times(columns: list[ColumnEvidence]) -> list[ColumnEvidence]:
    """List the columns without another role, or only those with the name of a date."""
    free = [c for c in columns if c.name.is_date or not (c.is_sentence or c.is_constant)]
    free = [c for c in free if c.name.customer_support < 2 and c.name.amount_class in ("", "none")]
    return [c for c in free if c.name.is_date] or free or columns


def _rank(column: ColumnEvidence) -> tuple[float, int]:
    return (round(column.present / column.rows, 2), column.distinct)


def _has_won_deals(column: ColumnEvidence) -> bool:
    """Return whether a column has the stages of deals, of which some are won."""
    if not column.name.is_status or column.distinct > _MAX_STAGES:
        return False
    return any(is_won(stage) for stage in pc.unique(column.column.text.drop_null()).to_pylist())


def _measure_support(column: ColumnEvidence, has_deals: bool) -> int:
    """Return the support of a name; a deal becomes a purchase when it is closed."""
    if has_deals and column.name.is_close:
        return _CLOSE_OF_DEAL
    return column.name.time_support


def _same_times(one: ColumnEvidence, other: ColumnEvidence) -> bool:
    return bool(np.array_equal(one.codes, other.codes) and one.column.text.equals(other.column.text))


def _explain(best: ColumnEvidence, candidates: list[ColumnEvidence]) -> str:
    others = [c.text for c in candidates if c is not best]
    only = "the only column of times" if not others else f"the name speaks for a purchase, {', '.join(others)} not"
    return f"{only}; {best.distinct:,} different values"


def _find_clock(dates: ColumnEvidence, columns: list[ColumnEvidence]) -> ColumnEvidence | None:
    """Find the column with the time of day for a column of days."""
    if dates.column.is_time or pc.any(pc.match_substring(dates.column.text, ":")).as_py():
        return None
    for column in columns:
        texts = column.column.text.drop_null()
        if column.name.time_support < 0 or column.is_constant or column.present < column.rows:
            continue
        if pc.all(pc.match_substring_regex(texts, _CLOCK)).as_py():
            return column
    return None


def choose_format(column: ColumnEvidence, clock: ColumnEvidence | None = None) -> Proposal:
    """Choose the format of the times.

    Args:
        column: Column of times.
        clock: Column of the time of day, joined to the times by a blank.

    Returns:
        Format, or the question about it.
    """
    if column.column.is_time or not column.times.readings:
        return Proposal()
    readings = [_add_clock(reading, clock) for reading in column.times.readings]
    first, *others = readings
    if not others:
        if first == (ISO_8601,):
            return Proposal()
        decided = Decision("timestamp_format", _as_value(first), f"{column.text}: {column.times.reason}")
        confirmed = _confirm_order(first, column)
        return Proposal((decided, *(Decision(key, value, column.times.reason) for key, value in confirmed.items())))
    answers = tuple(
        Answer(example, {"timestamp_format": _as_value(reading)} | _confirm_order(reading, column))
        for reading, example in zip(readings, column.times.examples, strict=True)
    )
    text = f"{column.text}: {len(answers)} formats read all of its times. Which is right?"
    return Proposal(questions=(Question(text, answers, ("timestamp_format",)),))


def _confirm_order(formats: tuple[str, ...], column: ColumnEvidence) -> dict[str, bool]:
    """Return the key that confirms the order of day and month, which an ingest doubts where dates are months."""
    day_first = is_day_first(formats[0])
    return {"dayfirst": day_first} if column.times.are_months and day_first is not None else {}


def _add_clock(formats: tuple[str, ...], clock: ColumnEvidence | None) -> tuple[str, ...]:
    """Add the time of day to each format; seconds are optional in every format."""
    if clock is None:
        return formats
    has_meridiem = pc.any(pc.match_substring_regex(clock.column.text, "[AaPp]")).as_py()
    if not has_meridiem and formats == (ISO_8601,):
        return formats
    time = "%I:%M %p" if has_meridiem else "%H:%M"
    return tuple(f"{'%Y-%m-%d' if name == ISO_8601 else name} {time}" for name in formats)


def _as_value(formats: tuple[str, ...]) -> str | list[str]:
    return formats[0] if len(formats) == 1 else list(formats)
