"""Parser of timestamps."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import ParsedColumn, TextColumn, find_unreadable

_ISO_DATE = r"^[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[T ].*)?$"
_OFFSET = r"[T ].*(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)$"


def parse_timestamps(column: TextColumn, field: str, mapping: ColumnMapping) -> ParsedColumn:
    """Parse a column of timestamps.

    Args:
        column: Column as text.
        field: Transaction field, for reasons and errors.
        mapping: Mapping with the format and the time zone.

    Returns:
        UTC timestamps in microseconds; times outside the range of nanoseconds (1677 to 2262) are unreadable.
    """
    if column.is_time or mapping.timestamp_format is None:
        values = _parse_iso_8601(column.text, mapping.time_zone)
    else:
        values = _parse_format(column.text.to_pandas(), mapping.timestamp_format, mapping.time_zone)
    return ParsedColumn(values, (find_unreadable(column, values, "a timestamp", field),))


def _parse_format(values: pd.Series, pattern: str, zone: str) -> pd.Series:
    if "%z" in pattern or "%Z" in pattern:
        return pd.to_datetime(values, format=pattern, errors="coerce", utc=True).dt.as_unit("us")
    return _to_utc(pd.to_datetime(values, format=pattern, errors="coerce"), zone)


def _parse_iso_8601(text: Any, zone: str) -> pd.Series:
    # pandas reads "now", "today" and bare years as ISO 8601: a date is required.
    text = pc.if_else(pc.match_substring_regex(text, _ISO_DATE), text, pa.scalar(None, pa.string()))
    has_offset = pc.fill_null(pc.match_substring_regex(text, _OFFSET), False).to_numpy(zero_copy_only=False)
    values = text.to_pandas()
    result = pd.Series(pd.NaT, index=values.index, dtype="datetime64[us, UTC]")
    if has_offset.any():
        aware = pd.to_datetime(values[has_offset], format="ISO8601", errors="coerce", utc=True)
        result[has_offset] = aware.dt.as_unit("us")
    if not has_offset.all():
        local = pd.to_datetime(values[~has_offset], format="ISO8601", errors="coerce")
        result[~has_offset] = _to_utc(local, zone)
    return result


def _to_utc(local: pd.Series, zone: str) -> pd.Series:
    """Convert local clock times to UTC.

    A time that occurs twice (autumn) is read as the first of the two; a time that does not occur (spring) as the time
    of the change.
    """
    local = local.dt.as_unit("us")
    first = np.ones(len(local), dtype=bool)
    return local.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").dt.tz_convert("UTC")
