"""Amounts of several columns: products, discounts, and columns to add and subtract."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import AmountSum
from holdfast.ingestion.parsing.columns import (
    ParsedColumn,
    Parser,
    RowIssue,
    TextColumn,
    merge_issues,
    read_text_column,
)
from holdfast.ingestion.reading.source import SourceFile


def parse_amount_sum(
    files: Sequence[SourceFile], field: str, source: AmountSum, mapping: ColumnMapping, parser: Parser
) -> ParsedColumn:
    """Compute amounts from a product, its discount, and columns to add and subtract.

    Args:
        files: Files that share the mapping.
        field: Transaction field.
        source: Columns of the amount.
        mapping: Column mapping.
        parser: Parser of a column of numbers.

    Returns:
        Amounts, and the reasons for null values, also for missing ones.

    Raises:
        IngestError: The values of a column contradict its part in the amount.
    """
    size = sum(file.rows.num_rows for file in files)
    total, missing = np.zeros(size), np.ones(size, dtype=bool)
    incomplete = np.zeros(size, dtype=bool)
    issues: list[RowIssue] = []
    notes: list[str] = []

    def parse(name: str, as_field: str) -> tuple[TextColumn, np.ndarray]:
        column = read_text_column(files, name)
        parsed = parser(column, as_field, mapping)
        issues.extend(replace(issue, reason=issue.reason.replace(as_field, field, 1)) for issue in parsed.issues)
        notes.extend(parsed.notes)
        return column, np.where(column.missing, 0.0, parsed.values.to_numpy(dtype=float))

    with np.errstate(over="ignore", invalid="ignore"):  # the schema rejects infinite amounts
        if source.multiply:
            product, blank = np.ones(size), []
            for name in source.multiply:
                column, values = parse(name, "quantity" if name == mapping.columns.quantity else "unit_price")
                product *= values
                blank.append(column.missing)
            if source.discount_rate:
                rate, issue = _parse_discount_rate(files, source.discount_rate, mapping, parser)
                issues.append(issue)
                product *= 1 - rate
            total += product
            missing &= np.logical_and.reduce(blank)
            incomplete = np.logical_or.reduce(blank) & ~np.logical_and.reduce(blank)
        for name in (*source.add, *source.subtract):
            column, values = parse(name, field)
            if name in source.subtract:
                _require_positive(column, values)
            total += -values if name in source.subtract else values
            missing &= column.missing
    missing |= incomplete
    total[missing] = np.nan
    return ParsedColumn(
        pd.Series(total), (RowIssue(f"{field} is missing", missing), *merge_issues(issues)), tuple(notes)
    )


def _parse_discount_rate(
    files: Sequence[SourceFile], name: str, mapping: ColumnMapping, parser: Parser
) -> tuple[np.ndarray, RowIssue]:
    """Parse shares between 0 and 1, or percentages with their sign; a blank is 0."""
    column = read_text_column(files, name)
    is_percentage = pc.fill_null(pc.ends_with(column.text, "%"), False).to_numpy(zero_copy_only=False)
    plain = replace(column, text=pc.utf8_trim_whitespace(pc.utf8_rtrim(column.text, "%")))
    # Numbers without a currency are parsed as a quantity is.
    values = np.where(column.missing, 0.0, parser(plain, "quantity", mapping).values.to_numpy(dtype=float))
    values = np.where(is_percentage, values / 100, values)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.sum() > (~column.missing).sum() / 2:
        raise IngestError(
            f"Column {name!r} is the `discount_rate` of the amount, and most of its values are no shares between 0 and "
            f"1, or percentages with %: {column.describe_values(wrong)}. If they are amounts of money, move the column "
            "to `columns.amount.subtract` in the mapping."
        )
    return np.where(wrong, np.nan, values), RowIssue("discount_rate is not between 0 and 1", wrong)


def _require_positive(column: TextColumn, values: np.ndarray) -> None:
    """Reject a column to subtract with negative values, which would raise the amounts."""
    negative = values < 0
    if negative.sum() > (values > 0).sum():
        raise IngestError(
            f"Column {column.name!r} is in `columns.amount.subtract` and most of its values are below zero: "
            f"{column.describe_values(negative)}. Subtracting them would raise the amounts. Move the column to "
            "`columns.amount.add` in the mapping."
        )
