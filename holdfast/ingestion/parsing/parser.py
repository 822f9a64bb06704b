"""Parsing of the mapped columns of a source; an unreadable value becomes null, with a reason."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import Parser, RowIssue, read_text_column
from holdfast.ingestion.parsing.composed_columns import parse_field
from holdfast.ingestion.parsing.currencies import require_one_currency_column
from holdfast.ingestion.parsing.currency_columns import find_currency_columns
from holdfast.ingestion.parsing.customer_id_checks import check_customer_ids
from holdfast.ingestion.parsing.customer_ids import parse_customer_ids
from holdfast.ingestion.parsing.isolated_times import find_isolated_times
from holdfast.ingestion.parsing.numbers import parse_numbers
from holdfast.ingestion.parsing.timestamps import parse_timestamps
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.row_rules.conditions import find_matching_rows

_PARSERS: dict[str, Parser] = {
    "customer_id": parse_customer_ids,
    "event_timestamp": parse_timestamps,
    "amount": parse_numbers,
    "quantity": parse_numbers,
    "unit_price": parse_numbers,
}


@dataclass(frozen=True)
class ParsedRows:
    """Typed columns of one file.

    Attributes:
        frame: Columns ``customer_id`` (object), ``event_timestamp`` (UTC, µs), ``amount`` and ``quantity`` (float64),
            one row per row of the file.
        issues: Reasons why values are null.
        unreadable_fields: Fields of the mapping without a single readable value.
    """

    frame: pd.DataFrame
    issues: list[RowIssue]
    unreadable_fields: list[str]


@dataclass(frozen=True)
class ParsedSource:
    """Typed columns of all files of a source.

    Attributes:
        files: Rows of each file, in the order of the files.
        notes: Sentences for the person who ingests the source.
    """

    files: list[ParsedRows]
    notes: list[str]


def parse_files(files: list[SourceFile], mapping: ColumnMapping, ingested_at: datetime | None = None) -> ParsedSource:
    """Convert the mapped columns of the files of a source to their types.

    Files with the same rules and types are parsed together, because the notation of a column can be recognized only
    from all of its values.

    Args:
        files: Files of a source.
        mapping: Column mapping.
        ingested_at: Time of the ingest (UTC); None where later times are no error.

    Returns:
        Typed columns of each file, and the reasons for null values.

    Raises:
        IngestError: The values of a column contradict the mapping.
    """
    groups: dict[tuple[str, bool, tuple[object, ...]], list[int]] = {}
    for position, file in enumerate(files):
        rules = mapping.for_file(file.name)
        key = (rules.sha256, file.of_refunds, tuple(file.types.get(column) for column in rules.required_columns))
        groups.setdefault(key, []).append(position)
    parsed: dict[int, ParsedRows] = {}
    notes: list[str] = []
    for positions in groups.values():
        rules = mapping.for_file(files[positions[0]].name)
        group = _parse_group(
            [files[i] for i in positions], rules.for_refunds if files[positions[0]].of_refunds else rules
        )
        parsed.update(zip(positions, group.files, strict=True))
        notes += group.notes
    rows = [parsed[i] for i in range(len(files))]
    isolated = find_isolated_times([of_file.frame["event_timestamp"] for of_file in rows], ingested_at)
    for of_file, issues in zip(rows, isolated.issues, strict=True):
        of_file.issues.extend(issues)
    return ParsedSource(rows, list(dict.fromkeys([*notes, *isolated.notes])))


def _parse_group(files: list[SourceFile], mapping: ColumnMapping) -> ParsedSource:
    issues: list[RowIssue] = []
    notes: list[str] = []
    values: dict[str, pd.Series] = {}
    for field, source in mapping.columns.by_field.items():
        if field not in _PARSERS:
            continue
        found = parse_field(files, field, source, mapping, _PARSERS[field])
        issues += found.issues
        values[field] = found.values
        notes += found.notes
    found_ids = check_customer_ids(values["customer_id"], files, mapping)
    issues += found_ids.issues
    notes += found_ids.notes
    if mapping.currency is None:
        _require_one_currency(files, mapping)
    amount, quantity = _amount_and_quantity(values, _find_returns(files, mapping), mapping.amount_sign == "negated")
    frame = pd.DataFrame(
        {
            "customer_id": values["customer_id"],
            "event_timestamp": values["event_timestamp"],
            "amount": amount,
            "quantity": quantity,
        }
    )
    ends = np.cumsum([file.rows.num_rows for file in files])
    parsed = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        of_file = [replace(issue, rows=issue.rows[start:end]) for issue in issues]
        parsed.append(
            ParsedRows(
                frame=frame.iloc[start:end].reset_index(drop=True),
                issues=[issue for issue in of_file if issue.rows.any()],
                unreadable_fields=[field for field in values if values[field].iloc[start:end].isna().all()],
            )
        )
    return ParsedSource(parsed, notes)


def _find_returns(files: list[SourceFile], mapping: ColumnMapping) -> np.ndarray:
    if mapping.cancellation is not None:
        return find_matching_rows(files, mapping.cancellation.column, mapping.cancellation)
    return np.full(sum(file.rows.num_rows for file in files), files[0].of_refunds)


def _require_one_currency(files: list[SourceFile], mapping: ColumnMapping) -> None:
    """Refuse files with several currencies in the mapped column of currencies, or in a column with such a name."""
    mapped = mapping.columns.currency
    for name in find_currency_columns(files, mapped):
        with_column = [file for file in files if file.rows.column_names.count(name) == 1]
        if not with_column:  # the name occurs twice in each file
            continue
        require_one_currency_column(read_text_column(with_column, name), is_mapped=name == mapped)


def _amount_and_quantity(
    values: dict[str, pd.Series], returns: np.ndarray, negated: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Compute amounts, rounded to 6 decimals so that they do not depend on the file format, and quantities."""
    quantity = values["quantity"].to_numpy(dtype=float) if "quantity" in values else None
    with np.errstate(over="ignore", invalid="ignore"):  # the schema rejects infinite amounts
        if "amount" in values:
            amount = values["amount"].to_numpy(dtype=float)
        else:
            amount = values["quantity"].to_numpy(dtype=float) * values["unit_price"].to_numpy(dtype=float)
        amount = np.where(np.abs(amount) < 1e9, np.round(amount, 6), amount)
        if negated:
            if quantity is not None:  # a quantity with the sign of the amount changes with it
                quantity = np.where(np.sign(quantity) == np.sign(amount), -quantity, quantity)
            amount = -amount
        if quantity is None:  # one unit was bought or returned, by the sign of the amount
            quantity = np.where(amount < 0, -1.0, 1.0)
    return np.where(returns, -np.abs(amount), amount), np.where(returns, -np.abs(quantity), quantity)
