"""Reader of timestamps that are numbers: time since 1970 in a unit, and spreadsheet serials."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.parsing.time_zones import convert_to_utc
from holdfast.ingestion.parsing.timestamp_formats import EPOCH_UNITS, EXCEL_ORIGINS

# From March 1973: the ranges of the units, 1e8 to 1e11 of each, do not overlap.
_FIRST_SECOND = 10**8
_EXCEL_DAYS = np.datetime64("1970-01-01"), np.datetime64("2100-01-01")
_NUMBER = r"^(?P<whole>[0-9]{1,19})(?:[.,](?P<fraction>[0-9]+))?$"
_DAMAGED = r"^[0-9](?:\.[0-9]{1,6})?[eE]\+?[0-9]+$"
# Bounded, so that the number fits decimal128(38, 9); an id such as 1136704e63 is no time.
_SCIENTIFIC = r"^[0-9]{1,9}(?:\.[0-9]{0,13})?[eE]\+?(?:0?[4-9]|1[0-9])$"


def read_numeric_timestamps(text: Any, format_: str, zone: str) -> np.ndarray:
    """Read numbers as times.

    Numbers outside the range of the unit are unreadable, for example milliseconds where the format has seconds.
    Scientific notation is read unless no value has more than seven digits: such a column lost its last digits.

    Args:
        text: Strings (pyarrow), shape (rows,).
        format_: Name of a unit since 1970 or of a spreadsheet's serials.
        zone: IANA name of the local time of spreadsheet serials.

    Returns:
        Times in UTC (datetime64[us]), NaT where a value is no such number, shape (rows,).
    """
    fields = pc.extract_regex(_without_exponents(text), _NUMBER)
    whole, fraction = (pc.struct_field(fields, index) for index in (0, 1))
    is_number = pc.is_valid(fields).to_numpy(zero_copy_only=False)
    result = np.full(len(text), np.datetime64("NaT"), dtype="datetime64[us]")
    if format_ in EXCEL_ORIGINS:
        days = pc.cast(pc.binary_join_element_wise(whole, fraction, "."), pa.float64(), safe=False)
        milliseconds = np.round(days.filter(is_number).to_numpy(zero_copy_only=False) * 86_400_000)
        milliseconds[milliseconds > 86_400_000 * 10**6] = 0
        local = np.datetime64(EXCEL_ORIGINS[format_], "ms") + milliseconds.astype("timedelta64[ms]")
        local[(local < _EXCEL_DAYS[0]) | (local >= _EXCEL_DAYS[1])] = np.datetime64("NaT")
        result[is_number] = convert_to_utc(local.astype("datetime64[us]"), zone)
        return result
    unit = EPOCH_UNITS[format_]
    whole = pc.if_else(pc.less_equal(pc.utf8_length(whole), 18), whole, _without_overflow(whole))
    number = pc.cast(whole.filter(is_number), pa.int64()).to_numpy(zero_copy_only=False)
    in_range = (number >= _FIRST_SECOND * unit) & (number // 1000 < _FIRST_SECOND * unit)
    if unit > 10**6:
        micros = number // (unit // 10**6)
    else:
        digits = len(str(10**6 // unit)) - 1
        padded = pc.utf8_rpad(
            pc.utf8_slice_codeunits(fraction.filter(is_number), 0, max(digits, 1)), max(digits, 1), "0"
        )
        part = pc.cast(padded, pa.int64()).to_numpy(zero_copy_only=False) if digits else 0
        micros = np.where(in_range, number, 0) * (10**6 // unit) + part
    micros = micros.astype("datetime64[us]")
    micros[~in_range] = np.datetime64("NaT")
    result[is_number] = micros
    return result


def _without_overflow(whole: Any) -> Any:
    largest = pa.scalar(str(2**63 - 1))
    return pc.if_else(pc.less_equal(whole, largest), whole, "0")


def _without_exponents(text: Any) -> Any:
    """Write scientific notation in full; null where it lost digits."""
    is_scientific = pc.fill_null(pc.match_substring_regex(text, _SCIENTIFIC), False)
    if not pc.any(is_scientific).as_py():
        return text
    scientific = text.filter(is_scientific)
    if pc.all(pc.match_substring_regex(scientific, _DAMAGED)).as_py():
        full = pa.nulls(len(scientific), pa.string())
    else:
        full = pc.cast(pc.cast(scientific, pa.decimal128(38, 9)), pa.string())
    return pc.replace_with_mask(text, is_scientific, full)
