"""Parser of numbers and amounts."""

import numpy as np
import pandas as pd

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import ParsedColumn, RowIssue, TextColumn, describe_issue
from holdfast.ingestion.parsing.currencies import apply_currency_rule, divide_minor_units, require_one_currency
from holdfast.ingestion.parsing.currency_columns import CurrencyColumn, read_currencies, resolve_symbols
from holdfast.ingestion.parsing.number_affixes import Problem
from holdfast.ingestion.parsing.number_evidence import decide_notation
from holdfast.ingestion.parsing.number_rows import NumberRows, read_number_rows


def parse_numbers(column: TextColumn, field: str, mapping: ColumnMapping) -> ParsedColumn:
    """Parse a column of numbers.

    A separator of thousands is believed only where it groups digits in threes (or as in 12,34,567.89) and where the
    column as a whole supports it. Signs, brackets and currencies around the digits are read.

    Args:
        column: Column as text.
        field: Transaction field, for reasons and errors.
        mapping: Mapping with the notation of numbers and the rules for amounts.

    Returns:
        Numbers as float64.

    Raises:
        IngestError: The values contradict the mapping, or have several currencies without a rule.
    """
    rows = read_number_rows(column, "." if column.is_number else mapping.decimal)
    issues = _find_problems(column, rows, field)
    values, notes = rows.values, [describe_issue(column, issue) for issue in issues]
    if not column.is_number:
        decision = decide_notation(column, rows, field, mapping)
        issues += decision.issues
        notes += decision.notes
        marked = rows.credits != 0
        if marked.any() and mapping.credit_sign is None:
            _require_few_marks(column, marked, field)
            issues.append(RowIssue(f"{field} has a mark CR or DR, without `credit_sign` in the mapping", marked))
            notes.append(describe_issue(column, issues[-1], values, "any mark as positive"))
        elif marked.any():
            credit = 1 if mapping.credit_sign == "positive" else -1
            values = np.where(marked, values * rows.credits * credit, values)
    if field == "quantity":
        issues.append(RowIssue(f"{field} has a currency", rows.currencies.positions >= 0))
    else:
        values, found, currency_notes = _apply_currency(column, rows.currencies, values, field, mapping)
        issues += found
        notes += currency_notes
    unreadable = np.zeros(len(values), dtype=bool)
    for issue in issues:
        unreadable |= issue.rows & issue.counted
    issues = [issue for issue in issues if issue.rows.any()]
    return ParsedColumn(pd.Series(np.where(unreadable, np.nan, values)), tuple(issues), tuple(notes))


def _find_problems(column: TextColumn, rows: NumberRows, field: str) -> list[RowIssue]:
    if not (rows.notations < 0).any():
        return []
    percentages = rows.problems == Problem.PERCENTAGE
    if percentages.sum() > (~column.missing).sum() / 2:
        raise IngestError(
            f"Column {column.name!r} ({field}) has percentages: {column.describe_values(percentages)}. Set "
            f"`columns.{field}` in the mapping to a column of numbers."
        )
    issues = (
        RowIssue(f"{field} is not a number", rows.problems == Problem.NOT_A_NUMBER),
        RowIssue(f"{field} is a percentage", percentages),
    )
    return [issue for issue in issues if issue.rows.any()]


def _require_few_marks(column: TextColumn, marked: np.ndarray, field: str) -> None:
    if marked.sum() > (~column.missing).sum() / 2:
        raise IngestError(
            f"Column {column.name!r} ({field}) has marks of credit and debit: {column.describe_values(marked)}. Set "
            "`credit_sign: negative` in the mapping where CR marks a refund, `credit_sign: positive` where CR marks a "
            "payment received."
        )


def _apply_currency(
    column: TextColumn, marks: CurrencyColumn, values: np.ndarray, field: str, mapping: ColumnMapping
) -> tuple[np.ndarray, list[RowIssue], list[str]]:
    notes: list[str] = []
    is_needed = marks.codes or mapping.currency is not None or mapping.minor_units
    of_column = read_currencies(column, mapping.columns.currency) if is_needed else None
    marks = resolve_symbols(marks, of_column, mapping.currency)
    factor = np.ones(len(values))
    if mapping.currency is not None:
        of_mapped = of_column if mapping.columns.currency is not None else None
        currencies, factor, issues = apply_currency_rule(mapping.currency, column, field, marks, of_mapped)
    else:
        issues, notes = require_one_currency(column, marks, of_column)
        currencies = marks if of_column is None else of_column
    if mapping.minor_units:
        values, issue = divide_minor_units(values, currencies, column, field)
        issues.append(issue)
    return values * factor, issues, notes
