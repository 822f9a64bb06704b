"""Currencies of amounts: one currency per column, conversion, minor units."""

import numpy as np

from holdfast.core.errors import IngestError
from holdfast.core.formatting import format_count
from holdfast.ingestion.parsing.columns import RowIssue, TextColumn, describe_issue
from holdfast.ingestion.parsing.currency_codes import decimal_places, find_currency
from holdfast.ingestion.parsing.currency_columns import (
    NO_CURRENCY,
    UNKNOWN_CURRENCY,
    CurrencyColumn,
    merge_currencies,
)
from holdfast.ingestion.value_rules import CurrencyRule

_CONFLICT = "amount has another currency than the currency column"
_MOST_CURRENCIES = 200  # a column of more different values is no column of currencies


def require_one_currency(
    column: TextColumn, marks: CurrencyColumn, currencies: CurrencyColumn | None
) -> tuple[list[RowIssue], list[str]]:
    """Check the currencies written in a column of amounts for a mapping without a currency rule.

    Args:
        column: Column of amounts as text.
        marks: Currency written with each amount.
        currencies: Column of currencies; None without one.

    Returns:
        Issue of the rows that contradict the column of currencies, or of the marked rows where a minority of the rows
        is marked with several currencies; a note where only a part of the rows has the currency.

    Raises:
        IngestError: Most amounts are marked, with several currencies, or contradict the column of currencies.
    """
    marked = marks.positions != NO_CURRENCY
    counts = np.bincount(marks.positions[marked], minlength=len(marks.codes))
    present = int((~column.missing).sum())
    listing = ", ".join(f"{code} ({format_count(counts[i], 'row')})" for i, code in enumerate(marks.codes) if counts[i])
    if currencies is not None and (counts > 0).sum() < 2:
        conflict = RowIssue(_CONFLICT, merge_currencies(currencies, marks)[1])
        if conflict.rows.sum() > present / 2:
            raise IngestError(
                f"Column {column.name!r} has another currency than the column of currencies: "
                f"{column.describe_values(conflict.rows)}. Set `currency:` under `columns:` to the column with the "
                "currency of the amounts."
            )
        return ([conflict], [describe_issue(column, conflict)]) if conflict.rows.any() else ([], [])
    if (counts > 0).sum() < 2:
        if 0 < marked.sum() < present:
            return [], [
                f"Column {column.name!r} has a currency in {marked.sum():,} of {present:,} values: {listing}. Values "
                "without one are read as the same currency."
            ]
        return [], []
    if marked.sum() > present / 2:
        first = np.zeros(len(marked), dtype=bool)
        first[[np.flatnonzero(marks.positions == i)[0] for i in range(len(marks.codes)) if counts[i]]] = True
        main = marks.codes[int(counts.argmax())]
        raise IngestError(
            f"Column {column.name!r} has amounts in several currencies, which do not add up: {listing}; for example "
            f"{column.describe_values(first)}. Set `currency: {{only: {main}}}` in the mapping, which quarantines the "
            f"others, or `currency: {{rates: {{{main}: 1, ...}}}}`, which converts them."
        )
    return [RowIssue("the amounts of the column have several currencies", marked)], [
        f"Column {column.name!r} has amounts in several currencies: {listing}. These rows are in quarantine, the "
        "others have no currency. Set `currency:` in the mapping to read them."
    ]


def apply_currency_rule(
    rule: CurrencyRule, column: TextColumn, field: str, marks: CurrencyColumn, of_column: CurrencyColumn | None
) -> tuple[CurrencyColumn, np.ndarray, list[RowIssue]]:
    """Apply the currency rule of a mapping to a column of amounts.

    Args:
        rule: Currency rule.
        column: Column of amounts as text.
        field: Transaction field, for reasons.
        marks: Currency written with each amount.
        of_column: Column of currencies; None without one.

    Returns:
        Currency of each row, the factor that converts each amount, shape (rows,), and the issues.
    """
    currencies, issues = marks, []
    missing = column.missing
    if of_column is not None:
        issues.append(RowIssue("currency is not an ISO 4217 code", of_column.positions == UNKNOWN_CURRENCY))
        currencies, conflict = merge_currencies(of_column, marks)
        issues.append(RowIssue(_CONFLICT, conflict))
    if rule.default is not None:
        codes = list(dict.fromkeys([*currencies.codes, rule.default]))
        without = currencies.positions == NO_CURRENCY
        currencies = CurrencyColumn(codes, np.where(without, codes.index(rule.default), currencies.positions))
    without = (currencies.positions == NO_CURRENCY) & ~missing
    factor = np.ones(len(without))
    if rule.only is not None:
        other = (currencies.positions >= 0) & ~currencies.rows_of(rule.only)
        issues.append(RowIssue(f"{field} is not in {rule.only}", other, counted=False))
    elif rule.rates is not None:
        rates = np.array([rule.rates.get(code, np.nan) for code in currencies.codes] + [1.0])
        factor = np.where(currencies.positions >= 0, rates[currencies.positions], 1.0)
        issues.append(RowIssue("currency has no rate in the mapping", np.isnan(factor)))
    if rule.only is not None or rule.rates is not None:
        issues.append(RowIssue("currency is missing", without))
    return currencies, factor, issues


def require_one_currency_column(column: TextColumn, is_mapped: bool) -> None:
    """Refuse files whose column of currencies has several, under a mapping without a rule for them.

    Args:
        column: Column of currencies.
        is_mapped: True where the mapping names the column.

    Raises:
        IngestError: The column has two currencies or more, and almost nothing else.
    """
    counts = column.text.value_counts()
    rows: dict[str, int] = {}
    for entry in counts.to_pylist() if len(counts) <= _MOST_CURRENCIES else []:
        code = find_currency(entry["values"] or "")
        if code is not None:
            rows[code] = rows.get(code, 0) + entry["counts"]
        elif entry["values"] is not None and not is_mapped:
            return
    if len(rows) > 1:
        main = max(rows, key=lambda code: rows[code])
        listing = ", ".join(f"{code} ({format_count(count, 'row')})" for code, count in rows.items())
        rates = ", ".join(f"{code}: 1" for code in rows)
        key = "" if is_mapped else f"`currency: {column.name}` under `columns:`, and "
        raise IngestError(
            f"Column {column.name!r} has several currencies, whose amounts do not add up: {listing}. In the mapping, "
            f"set {key}`currency: {{only: {main}}}`, which quarantines the other rows, or `currency: {{rates: "
            f"{{{rates}}}}}` with the value of each currency (1 for each where the amounts are converted already)."
        )


def divide_minor_units(
    values: np.ndarray, currencies: CurrencyColumn, column: TextColumn, field: str
) -> tuple[np.ndarray, RowIssue]:
    """Convert amounts in minor units (cents) to units of their currency.

    Args:
        values: Amounts in minor units, shape (rows,).
        currencies: Currency of each row; two decimal places without one.
        column: Column of amounts as text.
        field: Transaction field, for reasons and errors.

    Returns:
        Amounts in units, and the issue of amounts that are no whole number of minor units.

    Raises:
        IngestError: Most amounts have a fraction.
    """
    divisors = np.array([10.0 ** decimal_places(code) for code in currencies.codes] + [100.0])
    fractional = np.isfinite(values) & (values != np.round(values))
    if fractional.sum() > np.isfinite(values).sum() / 2:
        raise IngestError(
            f"Column {column.name!r} ({field}) has amounts with a fraction, which are no minor units: "
            f"{column.describe_values(fractional)}. Remove `minor_units` from the mapping."
        )
    divided = values / divisors[np.where(currencies.positions >= 0, currencies.positions, -1)]
    return np.where(fractional, np.nan, divided), RowIssue(f"{field} is not a whole number of minor units", fractional)
