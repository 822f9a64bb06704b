"""Dates in the names of files, such as sales-2025-01.csv, for tables without a column of times."""

import re
from collections.abc import Sequence
from datetime import date

from holdfast.inspection.proposal import Decision, Proposal

_YEAR, _MONTH, _DAY = r"(?P<year>(?:19|20)[0-9]{2})", r"(?P<month>0[1-9]|1[0-2])", r"(?P<day>0[1-9]|[12][0-9]|3[01])"
_PATTERNS = tuple(
    re.compile(rf"(?<![0-9]){text}(?![0-9])")
    for text in (
        rf"{_YEAR}[-_. ]?{_MONTH}[-_. ]?{_DAY}",
        rf"{_YEAR}[-_. ]?{_MONTH}",
        rf"{_DAY}[-_. ]{_MONTH}[-_. ]{_YEAR}",
        rf"{_MONTH}[-_. ]{_YEAR}",
    )
)
_KEY = "columns.event_timestamp"
NO_COLUMN = "(the date in the name of the file)"


def propose_file_dates(names: Sequence[str]) -> Proposal | None:
    """Propose the date in the name of each file as the time of its rows.

    Args:
        names: Names of the files of a folder.

    Returns:
        Rules for the files; None where the names do not have one date each.
    """
    dates = _find_dates(names)
    if len(names) < 2 or len(set(dates)) < len(names):
        return None
    rules = [
        {"match": name, "columns": {"event_timestamp": {"constant": day.isoformat()}}}
        for name, day in zip(names, dates, strict=True)
    ]
    reason = f"no column holds times; {names[0]} has the date {dates[0]} in its name, and each other file another one"
    return Proposal(
        (
            Decision(_KEY, NO_COLUMN, "by the rules in files: another file is rejected until it has a rule"),
            Decision("files", rules, reason),
            Decision("overlapping_files", "keep", "equal rows of two files have two dates"),
        )
    )


def _find_dates(names: Sequence[str]) -> list[date]:
    """Return the date that one pattern finds in each name; empty where no pattern fits all of them."""
    for pattern in _PATTERNS:
        found = [pattern.search(name.rsplit("/", 1)[-1]) for name in names]
        parts = [match.groupdict() for match in found if match]
        try:
            days = [date(int(part["year"]), int(part["month"]), int(part.get("day") or 1)) for part in parts]
        except ValueError:
            continue
        if len(days) == len(names):
            return days
    return []
