"""Parsing of a field from its source in the mapping: a column, several columns, or a constant."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.arrow_columns import as_text
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import AmountSum, ColumnSource, Constant, FirstOf
from holdfast.ingestion.parsing.amount_sums import parse_amount_sum
from holdfast.ingestion.parsing.columns import (
    ParsedColumn,
    Parser,
    RowIssue,
    TextColumn,
    merge_issues,
    read_text_column,
)
from holdfast.ingestion.reading.source import SourceFile

# Spreadsheets write a date as its midnight, and a time as a time of the day 0.
_MIDNIGHT = r"[T ]00:00(?::00(?:\.0+)?)?$"
_DAY_ZERO = r"^(?:1899-12-3[01]|1900-01-0[01])[T ]"


def parse_field(
    files: Sequence[SourceFile], field: str, source: ColumnSource, mapping: ColumnMapping, parser: Parser
) -> ParsedColumn:
    """Parse a field from its source.

    Args:
        files: Files that share the mapping.
        field: Field of the mapping.
        source: Source of the field in the mapping.
        mapping: Column mapping.
        parser: Parser of one column of this field.

    Returns:
        Values, and the reasons for null values, also for missing ones.

    Raises:
        IngestError: The values of a column contradict the mapping.
    """
    if isinstance(source, Constant):
        return _parse_constant(files, field, source.constant, mapping, parser)
    if isinstance(source, FirstOf):
        return _parse_first_of(files, field, source.first_of, mapping, parser)
    if isinstance(source, AmountSum):
        return parse_amount_sum(files, field, source, mapping, parser)
    if isinstance(source, tuple) and field == "customer_id":
        return _parse_composed_id(files, field, source, mapping, parser)
    column = read_text_column(files, source) if isinstance(source, str) else _join_date_and_time(files, source)
    parsed = parser(column, field, mapping)
    missing = RowIssue(f"{field} is missing", column.missing)
    return ParsedColumn(parsed.values, (missing, *parsed.issues), parsed.notes)


def _parse_constant(
    files: Sequence[SourceFile], field: str, text: str, mapping: ColumnMapping, parser: Parser
) -> ParsedColumn:
    size = sum(file.rows.num_rows for file in files)
    if field == "event_timestamp":
        return parser(TextColumn(text, pa.repeat(text, size), tuple(files), pa.timestamp("us")), field, mapping)
    if field in ("source", "kind"):
        return parser(TextColumn(text, pa.repeat(text, size), tuple(files)), field, mapping)
    return ParsedColumn(pd.Series(np.full(size, float(text))))


def _parse_first_of(
    files: Sequence[SourceFile], field: str, names: tuple[str, ...], mapping: ColumnMapping, parser: Parser
) -> ParsedColumn:
    columns = [read_text_column(files, name) for name in names]
    parsed = [parser(column, field, mapping) for column in columns]
    values, missing = parsed[-1].values, columns[-1].missing
    issues = list(parsed[-1].issues)
    for column, result in zip(columns[-2::-1], parsed[-2::-1], strict=True):
        present = ~column.missing
        values = values.where(~present, result.values)
        issues = [replace(issue, rows=issue.rows & ~present) for issue in issues] + list(result.issues)
        missing = missing & ~present
    notes = tuple(note for result in parsed for note in result.notes)
    return ParsedColumn(values, (RowIssue(f"{field} is missing", missing), *merge_issues(issues)), notes)


def _parse_composed_id(
    files: Sequence[SourceFile], field: str, names: tuple[str, ...], mapping: ColumnMapping, parser: Parser
) -> ParsedColumn:
    """Join the ids of several columns by "|"; an id with a missing part is missing."""
    parts = []
    issues: list[RowIssue] = []
    notes: list[str] = []
    missing = np.zeros(sum(file.rows.num_rows for file in files), dtype=bool)
    for name in names:
        column = read_text_column(files, name)
        parsed = parser(column, field, mapping)
        text = pc.cast(pa.array(parsed.values), pa.large_string())
        for special in ("\\", "|"):  # escaped, so that different parts never join to the same id
            text = pc.replace_substring(text, special, "\\" + special)
        parts.append(text)
        missing |= column.missing
        issues += parsed.issues
        notes += parsed.notes
    values = as_text(pc.binary_join_element_wise(*parts, pa.scalar("|", pa.large_string())))
    return ParsedColumn(values, (RowIssue(f"{field} is missing", missing), *merge_issues(issues)), tuple(notes))


def _join_date_and_time(files: Sequence[SourceFile], names: tuple[str, ...]) -> TextColumn:
    """Join a date and a time by a blank; a date without a time stays."""
    columns = [read_text_column(files, name) for name in names]
    first, *others = [column.text for column in columns]
    first = pc.replace_substring_regex(first, _MIDNIGHT, "")
    others = [pc.fill_null(pc.replace_substring_regex(text, _DAY_ZERO, ""), "") for text in others]
    text = pc.utf8_trim_whitespace(pc.binary_join_element_wise(first, *others, " "))
    return TextColumn(" + ".join(names), text, tuple(files), pa.timestamp("us") if columns[0].is_time else None)
