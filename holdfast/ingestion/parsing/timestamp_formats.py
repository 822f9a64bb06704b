"""Formats of timestamps: strptime formats and named ones, compiled to regular expressions with named groups."""

import re
from functools import cache

ISO_8601 = "iso8601"
EPOCH_UNITS = {"epoch_seconds": 1, "epoch_milliseconds": 10**3, "epoch_microseconds": 10**6, "epoch_nanoseconds": 10**9}
EXCEL_ORIGINS = {"excel": "1899-12-30", "excel_1904": "1904-01-01"}
NUMERIC_FORMATS = (*EPOCH_UNITS, *EXCEL_ORIGINS)
_NAMES = (ISO_8601, *NUMERIC_FORMATS)
_ALIASES = {"%s": "epoch_seconds", "ISO8601": ISO_8601}

_MONTH = (
    r"(?P<month_name>(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?))\.?"
)
_WEEKDAY = (
    r"(?P<weekday>(?i:mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:rs|r|rsday)?|fri(?:day)?|sat(?:urday)?"
    r"|sun(?:day)?))\.?"
)
_ZONE = (
    r"(?P<zone>[Zz]|(?:UTC|utc|GMT|gmt)?[+-][0-9]{1,2}(?::?[0-9]{2})?|[A-Za-z]+(?:/[A-Za-z_+-]+[0-9]*)+|[A-Za-z]{3,5}"
    r"|\[[A-Za-z_/+-]+[0-9]*\])(?:\[[^\]]+\]| \([^)]*\))?"
)
_FRACTION = r"(?P<fraction>[0-9]{1,9})"
_SECOND = rf"(?P<second>[0-9]{{2}})(?:[.,]{_FRACTION})?"
_ISO_TIME = rf"(?:[Tt ](?P<hour>[0-9]{{1,2}})(?::?(?P<minute>[0-9]{{2}})(?::?{_SECOND})?)?(?: ?{_ZONE})?)?"
_ISO_PATTERNS = tuple(
    f"^{date}{_ISO_TIME}$"
    for date in (
        r"(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})",
        r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})",
        r"(?P<iso_year>[0-9]{4})-?[Ww](?P<iso_week>[0-9]{2})-?(?P<iso_weekday>[1-7])",
        r"(?P<year>[0-9]{4})-(?P<ordinal>[0-9]{3})",
    )
)

_NUMBERS = {
    "Y": ("year", 4), "y": ("short_year", 2), "m": ("month", 2), "d": ("day", 2), "H": ("hour", 2), "I": ("hour12", 2),
    "M": ("minute", 2), "S": ("second", 2), "j": ("ordinal", 3), "G": ("iso_year", 4), "V": ("iso_week", 2),
    "u": ("iso_weekday", 1),
}  # fmt: skip
# The digits are directives of this module: optional fraction, optional seconds with a fraction, optional zone.
_PARTS = {
    "1": rf"(?:[.,]{_FRACTION})?", "2": rf"(?::{_SECOND})?", "3": rf"(?: ?{_ZONE})?", "b": _MONTH, "B": _MONTH,
    "a": _WEEKDAY, "A": _WEEKDAY, "p": r"(?P<meridiem>[AaPp])\.? ?[Mm]\.?", "f": _FRACTION, "z": _ZONE, "Z": _ZONE,
    "%": "%",
}  # fmt: skip
_SHORTHANDS = {"%T": "%H:%M:%S", "%R": "%H:%M", "%F": "%Y-%m-%d", "%h": "%b", "%e": "%d"}


def check_format(text: str) -> str:
    """Check one value of ``timestamp_format``.

    Args:
        text: strptime format or name of a format.

    Returns:
        Format, with an alias replaced by its name.

    Raises:
        ValueError: The format is unknown, or gives no date.
    """
    text = _ALIASES.get(text, text)
    if text in _NAMES:
        return text
    if "%" not in text:
        raise ValueError(f"{text!r} has no directive; an example: '%d/%m/%Y %H:%M'. Names: {', '.join(_NAMES)}")
    compile_format(text)
    directives = set(re.findall(r"%-?([A-Za-z])", _expand(text)))
    if not directives & {"Y", "y", "G"}:
        raise ValueError(f"{text!r} has no year (%Y or %y)")
    if "p" in directives and "H" in directives:
        raise ValueError(f"{text!r} has %p (AM or PM), which goes with %I (hours 1 to 12) in place of %H")
    if "I" in directives and "p" not in directives:
        raise ValueError(f"{text!r} has %I without %p (AM or PM); hours 0 to 23 are %H")
    return text


@cache
def compile_format(text: str) -> tuple[str, ...]:
    """Compile a format to regular expressions, of which a value matches one.

    Seconds behind a colon and a fraction of seconds are optional, a value may have an offset or zone behind its time,
    month names are English, short or long, and numbers without a separator between them have a fixed width.

    Args:
        text: strptime format or ``iso8601``.

    Returns:
        Regular expressions, whose groups are named by the field of a time.

    Raises:
        ValueError: A directive is unknown or repeated.
    """
    if text == ISO_8601:
        return _ISO_PATTERNS
    tokens = re.findall(r"%-?.?|[^%]+", _with_optional_parts(_expand(text)))
    keys = [token.lstrip("%-") or "%" if token.startswith("%") else "" for token in tokens]
    parts = []
    for position, (token, key) in enumerate(zip(tokens, keys, strict=True)):
        if not key:
            parts.append(re.escape(token))
        elif key in _NUMBERS:
            name, width = _NUMBERS[key]
            is_adjacent = bool({*keys[:position][-1:], *keys[position + 1 :][:1]} & _NUMBERS.keys())
            least = width if is_adjacent or width == 4 else 1
            parts.append(rf"(?P<{name}>[0-9]{{{least},{width}}})")
        elif key in _PARTS:
            parts.append(_PARTS[key])
        else:
            raise ValueError(f"{key!r} is a bad directive in format {text!r}")
    pattern = f"^{''.join(parts)}$"
    try:
        re.compile(pattern)
    except re.error:
        raise ValueError(f"{text!r} has a directive twice") from None
    return (pattern,)


def find_width(text: str) -> int:
    """Find the number of digits of a format of digits only.

    Args:
        text: strptime format or name of a format.

    Returns:
        Digits of a value, such as 6 for ``%y%m%d``; 0 for a format with other characters.
    """
    expanded = _expand(text)
    if not re.fullmatch(f"(?:%-?[{''.join(_NUMBERS)}])+", expanded):
        return 0
    return sum(_NUMBERS[key][1] for key in re.findall(r"%-?(.)", expanded))


def is_day_first(text: str) -> bool | None:
    """Return True for a format with the day before the month, False for the month before the day.

    Args:
        text: strptime format or name of a format.

    Returns:
        Order of the two; None for a format without a day and a month in digits.
    """
    order = "".join(re.findall(r"%-?([dm])", _expand(text)))
    return order == "dm" if order in ("dm", "md") else None


def _expand(text: str) -> str:
    for shorthand, directives in _SHORTHANDS.items():
        text = text.replace(shorthand, directives)
    return text


def _with_optional_parts(text: str) -> str:
    text = re.sub(r"(?<=%[SMfp]) ?(?:Z|UTC|GMT)$", "%3", text)  # a literal zone is a zone
    text = re.sub(r"[.,]%f", "%1", text)
    text = re.sub(r"%S(?!%1|.?%f)", "%S%1", text)
    text = text.replace(":%S%1", "%2")
    text = re.sub(r"(?<=:%M)(?!%2|.?%[Sf])", "%2", text)
    return text if re.search(r"%[zZ3]", text) else re.sub(r"(%[12Sp])$", r"\1%3", text)
