"""Parser of timestamps."""

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import ParsedColumn, TextColumn, find_unreadable
from holdfast.ingestion.parsing.timestamp_formats import ISO_8601
from holdfast.ingestion.parsing.timestamp_reader import clean_text, read_timestamps

_SAMPLE = 10_000


def parse_timestamps(column: TextColumn, field: str, mapping: ColumnMapping) -> ParsedColumn:
    """Parse a column of timestamps.

    Args:
        column: Column as text.
        field: Transaction field, for reasons and errors.
        mapping: Mapping with the formats and the time zone.

    Returns:
        UTC timestamps in microseconds; times outside the range of nanoseconds (1677 to 2262) are unreadable.
    """
    formats = [ISO_8601] if column.is_time else mapping.timestamp_formats
    text, codes = column.text, None
    if len(text) and _is_repetitive(column):
        encoded = pc.dictionary_encode(pc.fill_null(text, ""))
        text, codes = encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False)
    text = clean_text(text)
    utc = read_timestamps(text, formats[0], mapping.time_zone)
    for format_ in formats[1:]:
        utc = np.where(np.isnat(utc), read_timestamps(text, format_, mapping.time_zone), utc)
    values = pd.Series(utc if codes is None else utc[codes]).dt.tz_localize("UTC")
    return ParsedColumn(values, (find_unreadable(column, values, "a timestamp", field),))


def _is_repetitive(column: TextColumn) -> bool:
    sample = column.text.take(np.linspace(0, len(column.text) - 1, min(_SAMPLE, len(column.text))).astype(int))
    return bool(pc.count_distinct(sample).as_py() < 0.5 * len(sample))
