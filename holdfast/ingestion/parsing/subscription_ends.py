"""Parser of the attribute ``subscription_end``, whose values are times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.names import SUBSCRIPTION_END
from holdfast.ingestion.arrow_columns import as_text
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import Constant
from holdfast.ingestion.parsing.columns import RowIssue, TextColumn
from holdfast.ingestion.parsing.timestamps import parse_timestamps
from holdfast.ingestion.reading.source import SourceFile

_LONGEST_DAY = np.timedelta64(25, "h")  # at the end of daylight saving time
# Exports write the year 9999 for a subscription without an end; times are readable until 2262.
_NO_END, _LATEST_YEAR = r"(^|[^0-9.,:+])9999($|[^0-9])", r"\12261\2"


@dataclass(frozen=True)
class ParsedEnds:
    """Attributes with ends of subscriptions as times.

    Attributes:
        frame: Rows, each end as text in ISO 8601 (UTC).
        issues: Reasons why source rows are bad.
        notes: Sentences for the person who ingests the source.
    """

    frame: pd.DataFrame
    issues: tuple[RowIssue, ...] = ()
    notes: tuple[str, ...] = ()


def parse_subscription_ends(files: Sequence[SourceFile], frame: pd.DataFrame, mapping: ColumnMapping) -> ParsedEnds:
    """Read the ends of subscriptions by the formats and the time zone of the mapping.

    A subscription ends where its end is the first instant at which it does not run; a date is the begin of that day.

    Args:
        files: Files that share the mapping.
        frame: Attributes; the index has the positions of the source rows.
        mapping: Column mapping.

    Returns:
        The attributes.

    Raises:
        IngestError: The values contradict the format, or its order of day and month.
    """
    ends = frame["attribute"].eq(SUBSCRIPTION_END).fillna(False).to_numpy(dtype=bool)
    stated = ends & frame["value"].notna().to_numpy()
    if not stated.any():
        return ParsedEnds(frame)
    positions, size = frame.index.to_numpy()[stated], sum(file.rows.num_rows for file in files)
    text = np.full(size, None, dtype=object)
    text[positions] = frame["value"].to_numpy(dtype=object)[stated]
    array = pc.replace_substring_regex(pa.array(text, pa.string()), _NO_END, _LATEST_YEAR)
    name = _find_column(mapping)
    parsed = parse_timestamps(
        TextColumn(name, array, tuple(files), files[0].types.get(name)), SUBSCRIPTION_END, mapping
    )
    times = parsed.values.to_numpy(dtype="datetime64[us]")[positions]
    begins = frame["event_timestamp"].to_numpy(dtype="datetime64[us]")[stated]
    is_early = np.zeros(size, dtype=bool)
    is_early[positions] = begins - times >= _LONGEST_DAY
    issue = RowIssue(f"{SUBSCRIPTION_END} is before the time from which it is valid", is_early)
    values = frame["value"].to_numpy(dtype=object, copy=True)
    values[stated] = _format_times(times)
    return ParsedEnds(
        frame.assign(value=as_text(pa.array(values, pa.string())).array), (*parsed.issues, issue), parsed.notes
    )


def _find_column(mapping: ColumnMapping) -> str:
    source = (mapping.columns.attributes or {}).get(SUBSCRIPTION_END, mapping.columns.value)
    return source.constant if isinstance(source, Constant) else str(source)


def _format_times(times: np.ndarray) -> list[str | None]:
    text = pc.replace_substring_regex(pa.array(np.datetime_as_string(times, unit="us")), r"\.000000$", "")
    is_read = pa.array(~np.isnat(times))
    return list(pc.if_else(is_read, pc.binary_join_element_wise(text, "Z", ""), None).to_pylist())
