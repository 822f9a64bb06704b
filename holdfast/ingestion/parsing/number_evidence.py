"""Decision about the notation of a column of numbers, from all of its values."""

from dataclasses import dataclass

import numpy as np

from holdfast.core.errors import IngestError
from holdfast.core.formatting import format_count
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import column_names
from holdfast.ingestion.parsing.columns import RowIssue, TextColumn, describe_issue, read_text_column
from holdfast.ingestion.parsing.currency_codes import decimal_places, find_currency
from holdfast.ingestion.parsing.currency_columns import read_currencies
from holdfast.ingestion.parsing.number_notation import Notation, match_pattern
from holdfast.ingestion.parsing.number_rows import NumberRows, read_number_rows

# A smaller share of values in another notation is set aside; a larger one shows that the mapping is wrong.
_CONTRADICTING_SHARE = 0.05
_FEWEST_IN_FILE = 3  # values that show the notation of one file of a folder
_NAMES = {".": "point", ",": "comma", " ": "blank", "'": "apostrophe"}


@dataclass(frozen=True)
class NotationDecision:
    """Reading of a column of numbers.

    Attributes:
        issues: Rows whose number is not read, by reason.
        notes: Sentences for the person who ingests the source.
    """

    issues: list[RowIssue]
    notes: list[str]


def decide_notation(column: TextColumn, rows: NumberRows, field: str, mapping: ColumnMapping) -> NotationDecision:
    """Decide which numbers of a column are read in the mapping's notation.

    A number such as 1,234 is read with a separator of thousands where the column has such a separator for certain, or
    no number in the other notation.

    Args:
        column: Column as text.
        rows: Numbers of the column.
        field: Transaction field, for reasons and errors.
        mapping: Mapping with the notation of numbers.

    Returns:
        Issues and notes.

    Raises:
        IngestError: The column contradicts the mapping's decimal separator, or does not show which one it has and the
            mapping does not give one.
    """
    decimal, group = (".", ",") if mapping.decimal == "." else (",", ".")
    own, other, lone_decimal, lone_group = _notations(rows.notations, decimal)
    _require_notation(column, own, other, field, decimal, group)
    issues: list[RowIssue] = []
    notes: list[str] = []

    def set_aside(reason: str, selected: np.ndarray, values: np.ndarray | None = None, reading: str = "") -> None:
        if selected.any():
            issues.append(RowIssue(f"{field} {reason}", selected))
            notes.append(describe_issue(column, issues[-1], values, reading))

    reason = f"is written with a decimal {_NAMES[group]}, unlike the column"
    set_aside(reason, other, rows.other_values, f"a decimal {_NAMES[group]}")
    ambiguous = np.zeros(len(own), dtype=bool)
    places = _find_places(column, rows, mapping) if (lone_group | lone_decimal).any() else set()
    if lone_group.any() and mapping.thousands != group:
        has_groups = bool((rows.certain & (rows.separators == ord(group)) & own).any())
        note = _decide_lone_group(column, lone_group, own, other, has_groups, places == {0}, mapping)
        notes += [note] if note else []
        ambiguous |= lone_group & (note is None)
    if lone_decimal.any():
        has_decimals = bool((own & rows.decimals).any())
        if places == {0}:
            raise IngestError(
                f"Column {column.name!r} ({field}) is in a currency without decimals, and its {_NAMES[decimal]} "
                f"separates thousands: {column.describe_values(lone_decimal)}. Set `decimal: '{group}'` in the mapping."
            )
        is_confirmed = places == {3} or _has_short_fractions(column, own, decimal)
        note = _decide_lone_decimal(column, lone_decimal, own, other, has_decimals, is_confirmed, field, mapping)
        notes += [note] if note else []
        ambiguous |= lone_decimal & (note is None)
    reading = f"a decimal {_NAMES[decimal]}"
    set_aside("has a separator of decimals or of thousands", ambiguous, rows.values, reading)
    separators = _find_other_separators(rows, mapping, lone_group & ~ambiguous, group)
    set_aside("has another separator of thousands than the column", separators, rows.values, "that separator")
    set_aside("has digits in irregular groups", rows.notations == Notation.MALFORMED)
    return NotationDecision(issues, notes)


def _decide_lone_group(
    column: TextColumn,
    lone: np.ndarray,
    own: np.ndarray,
    other: np.ndarray,
    has_groups: bool,
    is_confirmed: bool,
    mapping: ColumnMapping,
) -> str | None:
    """Return a note, perhaps empty, where numbers such as 1,234 (decimal point) are read; None where they are not."""
    mark = "," if mapping.decimal == "." else "."
    if other.any() and not has_groups:
        return None
    found = (
        f"Column {column.name!r}: {format_count(lone.sum(), 'value')} with a {_NAMES[mark]} before three digits, read "
        f"with a separator of thousands: {column.describe_values(lone)}."
    )
    if other.any():
        return f"{found} Some other values have a decimal {_NAMES[mark]}."
    if own.any() or is_confirmed:
        return ""
    if _is_shown_elsewhere(column, mapping):
        has_small_numbers = bool((~lone & ~column.missing).any())  # below a thousand; else these may be decimals: 1,000
        return "" if has_small_numbers else f"{found} Other columns have a decimal {_NAMES[mapping.decimal]}."
    return f"{found} Set `decimal: '{mark}'` in the mapping if it separates decimals."


def _decide_lone_decimal(
    column: TextColumn,
    lone: np.ndarray,
    own: np.ndarray,
    other: np.ndarray,
    has_decimals: bool,
    is_confirmed: bool,
    field: str,
    mapping: ColumnMapping,
) -> str | None:
    """Return a note, perhaps empty, where numbers such as 1.234 (decimal point) are read; None where they are not."""
    decimal, mark = (".", ",") if mapping.decimal == "." else (",", ".")
    if other.any() and not has_decimals:
        return None
    examples = column.describe_values(lone)
    found = (
        f"Column {column.name!r}: {format_count(lone.sum(), 'value')} with a {_NAMES[decimal]} before three digits, "
        f"read as decimals: {examples}."
    )
    if other.any():
        return f"{found} Some other values have a decimal {_NAMES[mark]}."
    if is_confirmed and not own.any():
        return ""
    if own.any():
        return "" if has_decimals or is_confirmed else f"{found} No other value has more than two decimals."
    if _is_shown_elsewhere(column, mapping):
        return f"{found} Other columns have a decimal {_NAMES[decimal]} too."
    if "decimal" in mapping.model_fields_set or mapping.thousands is not None:
        return f"{found} Set `decimal: '{mark}'` in the mapping if it separates thousands."
    if lone.sum() < _CONTRADICTING_SHARE * (~column.missing).sum():
        return None
    raise IngestError(
        f"Column {column.name!r} ({field}) does not show whether its {_NAMES[decimal]} separates decimals or "
        f"thousands: {examples}. Set `decimal: '{decimal}'` or `decimal: '{mark}'` in the mapping."
    )


def _find_places(column: TextColumn, rows: NumberRows, mapping: ColumnMapping) -> set[int]:
    """Return the decimal places of the currencies of a column: yen have none, dinars three."""
    currencies = rows.currencies if rows.currencies.codes else read_currencies(column, mapping.columns.currency)
    codes = currencies.codes if currencies is not None else []
    return {decimal_places(find_currency(code) or code) for code in codes}


def _has_short_fractions(column: TextColumn, rows: np.ndarray, decimal: str) -> bool:
    """Check for fractions of one digit: a program that writes 4.5 writes as many digits as a number has, as 4.125."""
    return bool((match_pattern(column.text, rf"[0-9]\{decimal}[0-9]$") & rows).any())


def _require_notation(
    column: TextColumn, own: np.ndarray, other: np.ndarray, field: str, decimal: str, group: str
) -> None:
    """Refuse a column, or one file of several, with more numbers in the other notation than in the mapping's."""
    if not other.any():
        return
    start = 0
    ranges = [slice(0, len(own))]
    for file in column.files if len(column.files) > 1 else ():
        ranges.append(slice(start, start + file.rows.num_rows))
        start += file.rows.num_rows
    for rows in ranges:
        count, present = other[rows].sum(), (~column.missing[rows]).sum()
        is_whole = rows is ranges[0]
        if count <= own[rows].sum() or count < _CONTRADICTING_SHARE * present:
            continue
        if is_whole or count >= _FEWEST_IN_FILE:
            wrong = np.zeros(len(own), dtype=bool)
            wrong[rows] = other[rows]
            raise IngestError(
                f"Column {column.name!r} ({field}) is written with a decimal {_NAMES[group]}, not with the decimal "
                f"{_NAMES[decimal]} of the mapping: {column.describe_values(wrong)}. Set `decimal: '{group}'` in the "
                f"mapping{'' if is_whole else ', for one file of a folder under `files:`'}."
            )


def _is_shown_elsewhere(column: TextColumn, mapping: ColumnMapping) -> bool:
    """Check the other columns of numbers for the mapping's decimal separator: one export has one notation."""
    sources = [mapping.columns.amount, mapping.columns.quantity, mapping.columns.unit_price]
    names = [name for source in sources if source is not None for name in column_names(source)]
    for name in names:
        other_column = read_text_column(column.files, name)
        if name == column.name or other_column.is_number:
            continue
        own, other, _, _ = _notations(read_number_rows(other_column, mapping.decimal).notations, mapping.decimal)
        if own.sum() > other.sum():
            return True
    return False


def _notations(notations: np.ndarray, decimal: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    point, comma = notations == Notation.POINT, notations == Notation.COMMA
    lone_point, lone_comma = notations == Notation.LONE_POINT, notations == Notation.LONE_COMMA
    return (point, comma, lone_point, lone_comma) if decimal == "." else (comma, point, lone_comma, lone_point)


def _find_other_separators(rows: NumberRows, mapping: ColumnMapping, lone_group: np.ndarray, group: str) -> np.ndarray:
    """Find numbers with another separator of thousands than the mapping's, or than most of the column."""
    separators = np.where(lone_group, ord(group), rows.separators)
    grouped = (separators > 0) & (rows.notations >= 0)
    if mapping.thousands is not None:
        return np.asarray(grouped & (separators != ord(mapping.thousands)))
    counts = np.bincount(separators[grouped], minlength=1)
    return np.asarray(grouped & ~rows.certain & (separators != counts.argmax()))
