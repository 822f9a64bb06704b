"""Parser of timestamps."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.core.formatting import format_count
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import ParsedColumn, RowIssue, TextColumn, find_unreadable
from holdfast.ingestion.parsing.day_month_check import check_day_month_order
from holdfast.ingestion.parsing.day_month_order import swap_format
from holdfast.ingestion.parsing.format_proposals import propose_formats
from holdfast.ingestion.parsing.short_year_check import check_short_year, swap_day_and_year
from holdfast.ingestion.parsing.timestamp_formats import ISO_8601, is_day_first
from holdfast.ingestion.parsing.timestamp_reader import ReadTimes, clean_text, read_timestamps, restore_zeros

_SAMPLE = 10_000
_TIME = r"[0-9]:[0-9]{2}"
_ZONED_TIME = r"[0-9]:[0-9]{2}.*(?:[Zz]|UTC|GMT|[+-][0-9]{1,2}(?::?[0-9]{2})?|/[A-Za-z_]+|\])$"
# With ten values that fit one order only, half of the others in the other order have a chance below 0.001.
_DECISIVE_VALUES = 10
_AMBIGUOUS = "event_timestamp fits several formats with different times"


def parse_timestamps(column: TextColumn, field: str, mapping: ColumnMapping) -> ParsedColumn:
    """Parse a column of timestamps.

    Args:
        column: Column as text.
        field: Transaction field, for reasons and errors.
        mapping: Mapping with the formats and the time zone.

    Returns:
        UTC timestamps in microseconds; times outside the range of nanoseconds (1677 to 2262) are unreadable.

    Raises:
        IngestError: The values contradict the format, or its order of day and month.
    """
    formats = (ISO_8601,) if column.is_time else mapping.timestamp_formats
    text, codes = _distinct(column)
    notes: list[str] = []
    times = []
    for format_ in formats:
        restored, count = restore_zeros(text, format_, codes)
        times.append(read_timestamps(restored, format_, mapping.time_zone))
        if count:
            notes.append(f"Column {column.name!r}: leading zeros restored in {count:,} rows for {format_!r}.")
    utc = times[0].utc[codes]
    issues = []
    if len(formats) > 1:
        utc, is_ambiguous = _choose_format(column, formats, times, codes, mapping.dayfirst)
        issues.append(RowIssue(_AMBIGUOUS, is_ambiguous))
    notes += _note_missing_zones(column, text, codes, ~np.isnat(utc), mapping.time_zone)
    unread = np.isnat(utc) & ~column.missing
    for format_, read in zip(formats, times, strict=True):
        other = swap_day_and_year(format_)
        if other and other not in formats:
            other_days = _read_other_days(column, unread, other)
            check_short_year(column, format_, read.days[codes], other_days, mapping.dayfirst is not None)
        if is_day_first(format_) is None or swap_format(format_) in formats:
            continue
        other_days = _read_other_days(column, unread, swap_format(format_))
        notes += check_day_month_order(column, format_, read.days[codes], other_days, mapping.dayfirst is not None)
        unread &= np.isnat(other_days)
    values = pd.Series(utc).dt.tz_localize("UTC")
    unreadable = find_unreadable(column, values, "a timestamp", field)
    issues.append(RowIssue(unreadable.reason, unreadable.rows & ~issues[0].rows) if issues else unreadable)
    if unread.any():
        notes += _explain_unread(column, field, mapping, unread)
    return ParsedColumn(values, tuple(issues), tuple(notes))


def _sample_rows(size: int) -> np.ndarray:
    return np.linspace(0, size - 1, min(_SAMPLE, size)).astype(np.int64)


def _distinct(column: TextColumn) -> tuple[pa.Array, np.ndarray]:
    """Return the cleaned distinct values and the position of each row's value; all rows where values rarely repeat."""
    text = column.text
    sample = text.take(_sample_rows(len(text)))
    if pc.count_distinct(sample).as_py() > 0.9 * len(sample):
        return clean_text(text), np.arange(len(text))
    encoded = pc.dictionary_encode(text, null_encoding="encode")
    return clean_text(encoded.dictionary), encoded.indices.to_numpy(zero_copy_only=False)


def _note_missing_zones(
    column: TextColumn, text: pa.Array, codes: np.ndarray, is_read: np.ndarray, zone: str
) -> list[str]:
    """Note that some times have a zone and others do not, if a sample shows both."""
    for values in (text.take(_sample_rows(len(text))), text):
        is_time = pc.fill_null(pc.match_substring_regex(values, _TIME), False).to_numpy(zero_copy_only=False)
        has_zone = pc.fill_null(pc.match_substring_regex(values, _ZONED_TIME), False).to_numpy(zero_copy_only=False)
        if not has_zone.any() or not (is_time & ~has_zone).any():
            return []
    without, zoned = (is_time & ~has_zone)[codes] & is_read, has_zone[codes] & is_read
    if not without.any() or not zoned.any():
        return []
    return [
        f"Column {column.name!r}: {format_count(zoned.sum(), 'time')} with an offset or zone, "
        f"{format_count(without.sum(), 'time')} without one, read in `time_zone` {zone}: "
        f"{column.describe_values(without)}."
    ]


def _read_other_days(column: TextColumn, rows: np.ndarray, format_: str) -> np.ndarray:
    """Read the dates of some rows by another format, NaT for all other rows."""
    days = np.full(len(rows), np.datetime64("NaT"), "datetime64[D]")
    if rows.any():
        days[rows] = read_timestamps(clean_text(pc.filter(column.text, rows)), format_, "UTC").days
    return days


def _choose_format(
    column: TextColumn, formats: tuple[str, ...], times: list[ReadTimes], codes: np.ndarray, dayfirst: bool | None
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the format of each value; return the times, and True for rows that fit several.

    Where a value fits formats with different times, the format is chosen that the mapping confirms by ``dayfirst``, or
    that the values of the same file with one possible time have: a file is written by one program.
    """
    stacked = np.array([read.utc for read in times])
    fits = ~np.isnat(stacked)
    first = np.argmax(fits, axis=0)
    chosen = stacked[first, np.arange(stacked.shape[1])]
    differs = (fits & (stacked != chosen)).any(axis=0)
    utc, is_ambiguous = chosen[codes], differs[codes]
    if not is_ambiguous.any():
        return utc, is_ambiguous
    fits_one = fits.sum(axis=0) == 1
    confirmed = np.array([is_day_first(format_) == dayfirst for format_ in formats])
    ends = np.cumsum([file.rows.num_rows for file in column.files])
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        of_file = codes[start:end]
        counts = np.bincount(first[of_file[fits_one[of_file]]], minlength=len(formats))
        is_chosen = counts >= _DECISIVE_VALUES if dayfirst is None else confirmed
        is_possible = fits & ((counts > 0) if dayfirst is None else confirmed)[:, None]
        is_clear = differs & (is_possible.sum(axis=0) == 1) & (fits & is_chosen[:, None]).any(axis=0)
        choice = stacked[np.argmax(fits & is_chosen[:, None], axis=0), np.arange(stacked.shape[1])]
        rows = np.flatnonzero(is_clear[of_file]) + start
        utc[rows] = choice[codes[rows]]
        is_ambiguous[rows] = False
    utc[is_ambiguous] = np.datetime64("NaT")
    return utc, is_ambiguous


def _explain_unread(column: TextColumn, field: str, mapping: ColumnMapping, unread: np.ndarray) -> list[str]:
    """Propose formats for unreadable values: a note, or an error where no value is readable."""
    values = pc.filter(column.text, unread)
    proposals = [found for found in propose_formats(values) if found.timestamp_format not in mapping.timestamp_formats]
    if not proposals:
        return []
    best = proposals[0]
    others = [found for found in proposals[1:] if found.rows == best.rows and found.order == best.order == "ambiguous"]
    formats = " or ".join(f'`timestamp_format: "{found.timestamp_format}"`' for found in [best, *others[:1]])
    count = int(unread.sum())
    reads = f"{formats} reads {best.rows:,} of these {count:,} values" + (f" ({best.reason})" if best.reason else "")
    if count < len(unread) - column.missing.sum():
        return [
            f"Column {column.name!r}: values without the format of the mapping went to quarantine: "
            f"{column.describe_values(unread)}. {reads}; a list of formats is possible."
        ]
    expected = f"the format {mapping.timestamp_format!r}" if mapping.timestamp_format else "ISO 8601"
    raise IngestError(
        f"No value of column {column.name!r} can be read as {field} (expected {expected}; it starts with "
        f"{column.describe_values(unread)}). {reads}: set it in the mapping, or correct `columns.{field}`."
    )
