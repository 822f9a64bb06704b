"""Decision about the notation of a column of numbers, from all of its values."""

from dataclasses import dataclass

import numpy as np

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import column_names
from holdfast.ingestion.parsing.columns import RowIssue, TextColumn, read_text_column
from holdfast.ingestion.parsing.number_notation import Notation
from holdfast.ingestion.parsing.number_rows import NumberRows, read_number_rows

# A smaller share of values in another notation is set aside; a larger one shows that the mapping is wrong.
_CONTRADICTING_SHARE = 0.05
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
    present = max(int((~column.missing).sum()), 1)
    _require_notation(column, own, other, field, decimal, group)
    issues: list[RowIssue] = []
    notes: list[str] = []
    if other.any():
        issues.append(RowIssue(f"{field} is written with a decimal {_NAMES[group]}, unlike the column", other))
        notes.append(describe_loss(column, issues[-1], rows.other_values, f"a decimal {_NAMES[group]}"))

    certain_group = rows.certain & (rows.separators == ord(group)) & own
    ambiguous = np.zeros(len(own), dtype=bool)
    example = column.describe_values
    if lone_group.any() and mapping.thousands != group:
        found = (
            f"Column {column.name!r}: {lone_group.sum():,} values have a {_NAMES[group]} before three digits, read as "
            f"a separator of thousands: {example(lone_group)}."
        )
        if other.any() and not certain_group.any():
            ambiguous |= lone_group
        elif other.any():
            notes.append(f"{found} Some other values have a decimal {_NAMES[group]}.")
        elif not own.any() and not _is_shown_elsewhere(column, mapping):
            notes.append(f"{found} Set `decimal: '{group}'` in the mapping if it separates decimals.")
    if lone_decimal.any():
        found = (
            f"Column {column.name!r}: {lone_decimal.sum():,} values have a {_NAMES[decimal]} before three digits, read "
            f"as the decimal separator: {example(lone_decimal)}."
        )
        if (own & rows.decimals).any():
            if other.any():
                notes.append(f"{found} Some other values have a decimal {_NAMES[group]}.")
        elif other.any():
            ambiguous |= lone_decimal
        elif own.any():
            notes.append(f"{found} No other value has more than two decimals.")
        elif _is_shown_elsewhere(column, mapping):
            notes.append(f"{found} Other columns have a decimal {_NAMES[decimal]} too.")
        elif "decimal" in mapping.model_fields_set or mapping.thousands is not None:
            notes.append(f"{found} Set `decimal: '{group}'` in the mapping if it separates thousands.")
        elif lone_decimal.sum() >= _CONTRADICTING_SHARE * present:
            raise IngestError(
                f"Column {column.name!r} ({field}) does not show whether its {_NAMES[decimal]} separates decimals or "
                f"thousands: {example(lone_decimal)}. Set `decimal: '{decimal}'` or `decimal: '{group}'` in the "
                "mapping."
            )
        else:
            ambiguous |= lone_decimal
    if ambiguous.any():
        issues.append(RowIssue(f"{field} has a separator of decimals or of thousands", ambiguous))
        notes.append(describe_loss(column, issues[-1], rows.values, f"a decimal {_NAMES[decimal]}"))
    separator_rows = _find_other_separators(rows, mapping, lone_group, group)
    if separator_rows.any():
        issues.append(RowIssue(f"{field} has another separator of thousands than the column", separator_rows))
        notes.append(describe_loss(column, issues[-1], rows.values, "that separator"))
    malformed = rows.notations == Notation.MALFORMED
    if malformed.any():
        issues.append(RowIssue(f"{field} has digits that are not grouped in threes", malformed))
        notes.append(describe_loss(column, issues[-1]))
    return NotationDecision(issues, notes)


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
        present = (~column.missing[rows]).sum()
        if other[rows].sum() > own[rows].sum() and other[rows].sum() >= _CONTRADICTING_SHARE * present:
            wrong = np.zeros(len(own), dtype=bool)
            wrong[rows] = other[rows]
            raise IngestError(
                f"Column {column.name!r} ({field}) is written with a decimal {_NAMES[group]}, not with the decimal "
                f"{_NAMES[decimal]} of the mapping: {column.describe_values(wrong)}. Set `decimal: '{group}'` in the "
                f"mapping{'' if rows is ranges[0] else ', for one file of a folder under `files:`'}."
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


def describe_loss(column: TextColumn, issue: RowIssue, values: np.ndarray | None = None, reading: str = "") -> str:
    """Describe the values of a column that go to quarantine for one reason.

    Args:
        column: Column as text.
        issue: Reason and rows.
        values: Possible value of each row, shape (rows,); without it, no sum is given.
        reading: Reading that gives these values.

    Returns:
        Sentences with examples and the sum at stake.
    """
    found = (
        f"Column {column.name!r}: {issue.rows.sum():,} values are in quarantine ({issue.reason}), for example "
        f"{column.describe_values(issue.rows)}."
    )
    if values is None:
        return found
    return f"{found} Read with {reading}, they add up to {np.nansum(values[issue.rows]):,.2f}."
