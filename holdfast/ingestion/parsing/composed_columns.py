"""Parsing of a field from its source in the mapping: a column, several columns, or a constant."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import AmountSum, ColumnSource, Constant
from holdfast.ingestion.parsing.columns import ParsedColumn, RowIssue, TextColumn, read_text_column
from holdfast.ingestion.reading.source import SourceFile

Parser = Callable[[TextColumn, str, ColumnMapping], ParsedColumn]

# Spreadsheets write a date as its midnight, and a time as a time of the day 0.
_MIDNIGHT = r"[T ]00:00(?::00(?:\.0+)?)?$"
_DAY_ZERO = r"^(?:1899-12-3[01]|1900-01-0[01])[T ]"


def parse_field(
    files: Sequence[SourceFile], field: str, source: ColumnSource, mapping: ColumnMapping, parser: Parser
) -> ParsedColumn:
    """Parse a field from its source.

    Args:
        files: Files that share the mapping.
        field: Transaction field.
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
    if isinstance(source, AmountSum):
        return _parse_sum(files, field, source, mapping, parser)
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
    return ParsedColumn(pd.Series(np.full(size, float(text))))


def _parse_sum(
    files: Sequence[SourceFile], field: str, source: AmountSum, mapping: ColumnMapping, parser: Parser
) -> ParsedColumn:
    size = sum(file.rows.num_rows for file in files)
    total, missing = np.zeros(size), np.ones(size, dtype=bool)
    issues: list[RowIssue] = []
    notes: list[str] = []
    for name in (*source.add, *source.subtract):
        column = read_text_column(files, name)
        parsed = parser(column, field, mapping)
        values = np.where(column.missing, 0.0, parsed.values.to_numpy(dtype=float))
        if name in source.subtract:
            _require_positive(column, values)
            values = -values
        with np.errstate(over="ignore", invalid="ignore"):  # the schema rejects infinite amounts
            total += values
        missing &= column.missing
        issues += parsed.issues
        notes += parsed.notes
    total[missing] = np.nan
    return ParsedColumn(
        pd.Series(total), (RowIssue(f"{field} is missing", missing), *_merge_issues(issues)), tuple(notes)
    )


def _require_positive(column: TextColumn, values: np.ndarray) -> None:
    """Reject a column to subtract with negative values, which would raise the amounts."""
    negative = values < 0
    if negative.sum() > (values > 0).sum():
        raise IngestError(
            f"Column {column.name!r} is in `columns.amount.subtract` and most of its values are below zero: "
            f"{column.describe_values(negative)}. Subtracting them would raise the amounts. Move the column to "
            "`columns.amount.add` in the mapping."
        )


def _merge_issues(issues: list[RowIssue]) -> list[RowIssue]:
    merged: dict[str, RowIssue] = {}
    for issue in issues:
        earlier = merged.get(issue.reason)
        merged[issue.reason] = replace(issue, rows=earlier.rows | issue.rows) if earlier else issue
    return list(merged.values())


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
        text = pa.array(parsed.values, pa.string(), from_pandas=True)
        for special in ("\\", "|"):  # escaped, so that different parts never join to the same id
            text = pc.replace_substring(text, special, "\\" + special)
        parts.append(text)
        missing |= column.missing
        issues += parsed.issues
        notes += parsed.notes
    values: pd.Series = pc.binary_join_element_wise(*parts, "|").to_pandas()
    return ParsedColumn(values, (RowIssue(f"{field} is missing", missing), *_merge_issues(issues)), tuple(notes))


def _join_date_and_time(files: Sequence[SourceFile], names: tuple[str, ...]) -> TextColumn:
    """Join a date and a time by a blank; a date without a time stays."""
    columns = [read_text_column(files, name) for name in names]
    first, *others = [column.text for column in columns]
    first = pc.replace_substring_regex(first, _MIDNIGHT, "")
    others = [pc.fill_null(pc.replace_substring_regex(text, _DAY_ZERO, ""), "") for text in others]
    text = pc.utf8_trim_whitespace(pc.binary_join_element_wise(first, *others, " "))
    return TextColumn(" + ".join(names), text, tuple(files), pa.timestamp("us") if columns[0].is_time else None)
