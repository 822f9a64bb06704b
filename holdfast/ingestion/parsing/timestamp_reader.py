"""Vectorized reader of timestamps by one format."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.parsing.numeric_timestamps import read_numeric_timestamps
from holdfast.ingestion.parsing.time_zones import convert_to_utc, find_zone
from holdfast.ingestion.parsing.timestamp_formats import ISO_8601, NUMERIC_FORMATS, compile_format

_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS = {name: number for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}
_SAMPLE = 1000
_LIMITS = np.datetime64("1677-09-22", "us"), np.datetime64("2262-04-11", "us")  # of nanoseconds since 1970


def clean_text(text: Any) -> Any:
    """Replace the blanks and endings that programs add to dates: no-break spaces, double spaces, ``20250102.0``.

    Args:
        text: Trimmed strings (pyarrow).

    Returns:
        Strings of the same length.
    """
    if not pc.all(pc.string_is_ascii(text)).as_py():
        text = pc.replace_substring_regex(text, r"[\s\x{00a0}\x{2000}-\x{200a}\x{202f}\x{3000}]+", " ")
    if pc.any(pc.match_substring(text, "  ")).as_py():
        text = pc.replace_substring_regex(text, " +", " ")
    if pc.any(pc.ends_with(text, ".0")).as_py():
        text = pc.replace_substring_regex(text, r"^([0-9]+)\.0$", r"\1")
    return text


def read_timestamps(text: Any, format_: str, zone: str) -> np.ndarray:
    """Read values by one format.

    Args:
        text: Cleaned strings (pyarrow), null where a value is missing, shape (rows,).
        format_: strptime format or name of a format.
        zone: IANA name, for values without an offset.

    Returns:
        Times in UTC (datetime64[us]), NaT where a value does not have the format, shape (rows,).
    """
    if format_ in NUMERIC_FORMATS:
        utc = read_numeric_timestamps(text, format_, zone)
    elif format_ == ISO_8601:
        utc = _read_iso_8601(text, zone)
    else:
        utc = _read_patterns(text, compile_format(format_), zone)
    utc[~((utc >= _LIMITS[0]) & (utc < _LIMITS[1]))] = np.datetime64("NaT")
    return utc


def _read_iso_8601(text: Any, zone: str) -> np.ndarray:
    # Arrow reads the common forms of ISO 8601 ten times as fast, if all values have one; each failure is slow.
    sample = text.take(np.linspace(0, len(text) - 1, min(_SAMPLE, len(text))).astype(np.int64))
    for kind, kind_zone in ((pa.timestamp("us"), zone), (pa.timestamp("us", "UTC"), "UTC")):
        try:
            pc.cast(sample, kind)
            times = pc.cast(text, kind)
        except pa.ArrowInvalid:
            continue
        return convert_to_utc(times.to_numpy(zero_copy_only=False).astype("datetime64[us]"), kind_zone)
    return _read_patterns(text, compile_format(ISO_8601), zone)


def _read_patterns(text: Any, patterns: tuple[str, ...], zone: str) -> np.ndarray:
    utc = np.full(len(text), np.datetime64("NaT"), dtype="datetime64[us]")
    rows = np.flatnonzero(pc.is_valid(text).to_numpy(zero_copy_only=False))
    for pattern in patterns:
        fields = pc.extract_regex(text.take(rows) if len(rows) < len(text) else text, pattern)
        is_match = pc.is_valid(fields).to_numpy(zero_copy_only=False)
        if is_match.any():
            matched = fields.filter(is_match) if not is_match.all() else fields
            utc[rows[is_match]] = _build_times(_Fields(matched), zone)
        rows = rows[~is_match]
        if not len(rows):
            break
    return utc


class _Fields:
    """Fields of matched values."""

    def __init__(self, fields: Any) -> None:
        self._columns = dict(zip([field.name for field in fields.type], fields.flatten(), strict=True))
        self.size = len(fields)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def number(self, name: str, default: int = 0) -> Any:
        """Return the field as int64, the default where it is left out."""
        if name not in self:
            return default
        column = self._columns[name]
        column = pc.if_else(pc.equal(column, ""), str(default), column)
        return pc.cast(column, pa.int64()).to_numpy(zero_copy_only=False)

    def codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        """Return the field as codes, and the distinct values."""
        encoded = pc.dictionary_encode(self._columns[name])
        return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()

    def named(self, name: str, numbers: dict[str, int]) -> np.ndarray:
        """Return the numbers of names, recognized by their first three letters."""
        codes, names = self.codes(name)
        return np.array([numbers[text[:3].lower()] for text in names])[codes]

    def fraction(self) -> Any:
        """Return the fraction of a second in microseconds."""
        if "fraction" not in self:
            return 0
        digits = pc.utf8_slice_codeunits(self._columns["fraction"], 0, 6)
        return pc.cast(pc.utf8_rpad(digits, 6, "0"), pa.int64()).to_numpy(zero_copy_only=False)


def _build_times(fields: _Fields, zone: str) -> np.ndarray:
    days, is_valid = _build_days(fields)
    hour, minute, second = fields.number("hour"), fields.number("minute"), fields.number("second")
    if "hour12" in fields:
        hour = fields.number("hour12")
        is_valid &= hour <= 12
        is_afternoon = fields.named("meridiem", {"a": 0, "p": 1}) if "meridiem" in fields else 0
        hour = hour % 12 + 12 * is_afternoon
    is_valid = is_valid & (hour < 24) & (minute < 60) & (second < 60)
    seconds = hour * 3600 + minute * 60 + second
    local = days.astype("datetime64[us]") + (seconds * 10**6 + fields.fraction())
    local[~is_valid] = np.datetime64("NaT")
    if "zone" not in fields:
        return convert_to_utc(local, zone)
    utc = np.full(fields.size, np.datetime64("NaT"), dtype="datetime64[us]")
    codes, zones = fields.codes("zone")
    for code, text in enumerate(zones):
        found = find_zone(text) if text else zone
        rows = codes == code
        if isinstance(found, str):
            utc[rows] = convert_to_utc(local[rows], found)
        elif found is not None:
            utc[rows] = local[rows] - np.timedelta64(found)
    return utc


def _build_days(fields: _Fields) -> tuple[np.ndarray, np.ndarray]:
    """Return the dates (datetime64[D]), and True where a date exists."""
    if "iso_year" in fields:
        week = fields.number("iso_week")
        fourth = (fields.number("iso_year") - 1970).astype("datetime64[Y]").astype("datetime64[D]") + 3
        monday = fourth - _weekday(fourth)  # week 1 has the year's first Thursday, hence 4 January
        days = monday + (week - 1) * 7 + fields.number("iso_weekday", 1) - 1
        return days, (week >= 1) & (_year(days - _weekday(days) + 3) == fields.number("iso_year"))
    if "year" in fields:
        year = fields.number("year")
    else:
        year = fields.number("short_year")
        year = year + np.where(year < 69, 2000, 1900)
    if "ordinal" in fields:
        days = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]") + fields.number("ordinal") - 1
        return days, _year(days) == year
    month = fields.named("month_name", _MONTHS) if "month_name" in fields else fields.number("month", 1)
    day = fields.number("day", 1)
    first = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = first.astype("datetime64[D]") + (day - 1)
    is_valid = (month >= 1) & (month <= 12) & (day >= 1) & (days.astype("datetime64[M]") == first)
    if "weekday" in fields:
        is_valid &= _weekday(days) == fields.named("weekday", _WEEKDAYS)
    return days, is_valid


def _weekday(days: np.ndarray) -> np.ndarray:
    return (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def _year(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[Y]").astype(np.int64) + 1970
