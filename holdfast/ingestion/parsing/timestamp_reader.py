"""Vectorized reader of timestamps by one format."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.parsing.numeric_timestamps import read_numeric_timestamps
from holdfast.ingestion.parsing.time_zones import convert_to_utc, find_zone
from holdfast.ingestion.parsing.timestamp_fields import TimestampFields, build_local_times
from holdfast.ingestion.parsing.timestamp_formats import ISO_8601, NUMERIC_FORMATS, compile_format, find_width

_SAMPLE = 1000
_COMMON_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?)?$"
_LIMITS = np.datetime64("1677-09-22", "us"), np.datetime64("2262-04-11", "us")  # of nanoseconds since 1970


def clean_text(text: Any) -> Any:
    """Remove what programs add to dates: no-break spaces, double spaces, ``20250102.0``, guards as ``="2025-01-02"``.

    Args:
        text: Trimmed strings (pyarrow).

    Returns:
        Strings of the same length.
    """
    if not pc.all(pc.string_is_ascii(text)).as_py():
        text = pc.replace_substring_regex(text, r"[\s\x{00a0}\x{2000}-\x{200a}\x{202f}\x{3000}]+", " ")
        text = pc.replace_substring(text, "\u2212", "-")  # ISO 8601 writes negative offsets with a minus sign
    if pc.any(pc.match_substring(text, "  ")).as_py():
        text = pc.replace_substring_regex(text, " +", " ")
    if pc.any(pc.or_(pc.starts_with(text, "="), pc.starts_with(text, "'"))).as_py():
        text = pc.utf8_trim_whitespace(pc.replace_substring_regex(text, r"^=\"([^\"]*)\"$|^'([0-9].*)$", r"\1\2"))
    if pc.any(pc.ends_with(text, ".0")).as_py():
        text = pc.replace_substring_regex(text, r"^([0-9]+)\.0$", r"\1")
    return text


def restore_zeros(text: Any, format_: str, codes: np.ndarray) -> tuple[Any, int]:
    """Restore leading zeros that were lost because a program took dates such as 050131 for numbers.

    The zeros are restored only if no value of full length starts with a zero and every shorter value then is a date.

    Args:
        text: Distinct strings (pyarrow), shape (values,).
        format_: strptime format or name of a format.
        codes: Position of each row's value, shape (rows,).

    Returns:
        Strings of the same length, and the number of rows with a restored value.
    """
    width = find_width(format_)
    if not width:
        return text, 0
    is_digits = pc.match_substring_regex(text, "^[0-9]+$")
    is_short = pc.fill_null(pc.and_(is_digits, pc.less(pc.utf8_length(text), width)), False)
    is_full_with_zero = pc.and_(pc.equal(pc.utf8_length(text), width), pc.starts_with(text, "0"))
    if not pc.any(is_short).as_py() or pc.any(is_full_with_zero).as_py():
        return text, 0
    restored = pc.utf8_lpad(text.filter(is_short), width, "0")
    if np.isnat(read_timestamps(restored, format_, "UTC").utc).any():
        return text, 0
    return pc.replace_with_mask(text, is_short, restored), int(is_short.to_numpy(zero_copy_only=False)[codes].sum())


class ReadTimes(NamedTuple):
    """Times read from values, NaT where a value does not have the format.

    Attributes:
        utc: Times in UTC (datetime64[us]), shape (rows,).
        days: Dates as written, before a conversion of zones (datetime64[D]), shape (rows,).
    """

    utc: np.ndarray
    days: np.ndarray


def read_timestamps(text: Any, format_: str, zone: str) -> ReadTimes:
    """Read values by one format.

    Args:
        text: Cleaned strings (pyarrow), null where a value is missing, shape (rows,).
        format_: strptime format or name of a format.
        zone: IANA name, for values without an offset.

    Returns:
        Times of the values.
    """
    if format_ in NUMERIC_FORMATS:
        utc = read_numeric_timestamps(text, format_, zone)
        times = ReadTimes(utc, utc.astype("datetime64[D]"))
    elif format_ == ISO_8601:
        times = _read_iso_8601(text, zone)
    else:
        times = _read_patterns(text, compile_format(format_), zone)
    is_outside = ~((times.utc >= _LIMITS[0]) & (times.utc < _LIMITS[1]))
    if is_outside.any():
        times.utc[is_outside] = np.datetime64("NaT")
        times.days[is_outside] = np.datetime64("NaT")
    return times


def _read_iso_8601(text: Any, zone: str) -> ReadTimes:
    # Arrow reads the common forms of ISO 8601 ten times as fast, if all values have one; each failure is slow.
    sample = text.take(np.linspace(0, len(text) - 1, min(_SAMPLE, len(text))).astype(np.int64))
    for kind, kind_zone in ((pa.timestamp("us"), zone), (pa.timestamp("us", "UTC"), "UTC")):
        try:
            pc.cast(sample, kind)
            read = pc.cast(text, kind)
        except pa.ArrowInvalid:
            continue
        local = read.to_numpy(zero_copy_only=False).astype("datetime64[us]")
        return ReadTimes(convert_to_utc(local, kind_zone), local.astype("datetime64[D]"))
    is_common = pc.fill_null(pc.match_substring_regex(text, _COMMON_ISO), False)
    common = is_common.to_numpy(zero_copy_only=False)
    if not common.any() or common.all():
        return _read_patterns(text, compile_format(ISO_8601), zone)
    times = _unread(len(text))
    times.utc[common], times.days[common] = _read_iso_8601(text.filter(is_common), zone)
    times.utc[~common], times.days[~common] = _read_patterns(
        text.filter(pc.invert(is_common)), compile_format(ISO_8601), zone
    )
    return times


def _unread(size: int) -> ReadTimes:
    nothing = np.datetime64("NaT")
    return ReadTimes(np.full(size, nothing, "datetime64[us]"), np.full(size, nothing, "datetime64[D]"))


def _read_patterns(text: Any, patterns: tuple[str, ...], zone: str) -> ReadTimes:
    times = _unread(len(text))
    rows = np.flatnonzero(pc.is_valid(text).to_numpy(zero_copy_only=False))
    for pattern in patterns:
        fields = pc.extract_regex(text.take(rows) if len(rows) < len(text) else text, pattern)
        is_match = pc.is_valid(fields).to_numpy(zero_copy_only=False)
        if is_match.any():
            matched = TimestampFields(fields.filter(is_match) if not is_match.all() else fields)
            local, days = build_local_times(matched)
            times.utc[rows[is_match]] = _convert_zones(matched, local, zone)
            times.days[rows[is_match]] = days
        rows = rows[~is_match]
        if not len(rows):
            break
    return times


def _convert_zones(fields: TimestampFields, local: np.ndarray, zone: str) -> np.ndarray:
    """Convert local times to UTC, by the zone of the value or that of the mapping."""
    if "zone" not in fields:
        return convert_to_utc(local, zone)
    utc = np.full(fields.size, np.datetime64("NaT"), dtype="datetime64[us]")
    codes, zones = fields.codes("zone")
    for code, text in enumerate(zones):
        found = find_zone(text) if text else zone
        rows = codes == code if len(zones) > 1 else slice(None)
        if isinstance(found, str):
            utc[rows] = convert_to_utc(local[rows], found)
        elif found is not None:
            utc[rows] = local[rows] - np.timedelta64(found)
    return utc
