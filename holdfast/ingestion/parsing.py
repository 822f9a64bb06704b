"""Parsing of strings to typed transaction columns; an unreadable value becomes null, with a reason."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.source import SourceFile

# Notations of a missing value in exports, in lower case.
_MISSING_VALUES = ["", "nan", "none", "null", "na", "n/a", "<na>", "nat"]
_NUMBER = r"^[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|infinity))$"
_ISO_DATE = r"^[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[T ].*)?$"
_OFFSET = r"[T ].*(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)$"


@dataclass(frozen=True)
class RowIssue:
    """Reason for quarantine.

    Attributes:
        reason: Text that is stored with the row.
        rows: True for the affected rows of the file, shape (rows,).
    """

    reason: str
    rows: np.ndarray


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


def parse_rows(file: SourceFile, mapping: ColumnMapping) -> ParsedRows:
    """Convert the mapped columns of a file to their types.

    Args:
        file: File of a source.
        mapping: Column mapping.

    Returns:
        Typed columns, and the reasons for null values.
    """
    columns = mapping.columns.by_field
    issues: list[RowIssue] = []
    values: dict[str, pd.Series] = {}
    for field, column in columns.items():
        text = pc.utf8_trim_whitespace(file.rows.column(column).combine_chunks())
        missing = pc.is_in(pc.utf8_lower(text), value_set=pa.array(_MISSING_VALUES))
        text = pc.if_else(missing, pa.scalar(None, pa.string()), text)
        typed = column in file.typed_columns
        if field == "customer_id":
            # A whole number written as a float loses its ".0"; leading zeros are preserved.
            value, noun = pc.replace_substring_regex(text, r"^([0-9]+)\.0+$", r"\1").to_pandas(), "an id"
        elif field == "event_timestamp":
            value, noun = _timestamps(text, mapping, typed), "a timestamp"
        else:
            value, noun = _numbers(text, "." if typed else mapping.decimal), "a number"
        absent = missing.to_numpy(zero_copy_only=False)
        issues.append(RowIssue(f"{field} is missing", absent))
        issues.append(RowIssue(f"{field} is not {noun}", value.isna().to_numpy() & ~absent))
        values[field] = value
    amount, quantity = _amount_and_quantity(values, _cancelled(file, mapping))
    frame = pd.DataFrame(
        {
            "customer_id": values["customer_id"],
            "event_timestamp": values["event_timestamp"],
            "amount": amount,
            "quantity": quantity,
        }
    )
    return ParsedRows(
        frame=frame,
        issues=[issue for issue in issues if issue.rows.any()],
        unreadable_fields=[field for field in columns if values[field].isna().all()],
    )


def _numbers(text: Any, decimal: str) -> pd.Series:
    if decimal == ",":
        text = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
    text = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, pa.scalar(None, pa.string()))
    return pc.cast(text, pa.float64()).to_pandas()


def _timestamps(text: Any, mapping: ColumnMapping, typed: bool) -> pd.Series:
    """Parse UTC timestamps in microseconds; times outside the range of nanoseconds (1677 to 2262) are unreadable."""
    pattern = mapping.timestamp_format
    if pattern is not None and not typed:
        values = text.to_pandas()
        if "%z" in pattern or "%Z" in pattern:
            return pd.to_datetime(values, format=pattern, errors="coerce", utc=True).dt.as_unit("us")
        return _to_utc(pd.to_datetime(values, format=pattern, errors="coerce"), mapping.time_zone)
    # pandas reads "now", "today" and bare years as ISO 8601: a date is required.
    text = pc.if_else(pc.match_substring_regex(text, _ISO_DATE), text, pa.scalar(None, pa.string()))
    has_offset = pc.fill_null(pc.match_substring_regex(text, _OFFSET), False).to_numpy(zero_copy_only=False)
    values = text.to_pandas()
    result = pd.Series(pd.NaT, index=values.index, dtype="datetime64[us, UTC]")
    if has_offset.any():
        aware = pd.to_datetime(values[has_offset], format="ISO8601", errors="coerce", utc=True)
        result[has_offset] = aware.dt.as_unit("us")
    if not has_offset.all():
        local = pd.to_datetime(values[~has_offset], format="ISO8601", errors="coerce")
        result[~has_offset] = _to_utc(local, mapping.time_zone)
    return result


def _to_utc(local: pd.Series, zone: str) -> pd.Series:
    """Convert local clock times to UTC.

    A time that occurs twice (autumn) is read as the first of the two; a time that does not occur (spring) as the time
    of the change.
    """
    local = local.dt.as_unit("us")
    first = np.ones(len(local), dtype=bool)
    return local.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").dt.tz_convert("UTC")


def _cancelled(file: SourceFile, mapping: ColumnMapping) -> np.ndarray:
    if mapping.cancellation is None:
        return np.zeros(file.rows.num_rows, dtype=bool)
    text = pc.utf8_trim_whitespace(file.rows.column(mapping.cancellation.column).combine_chunks())
    return pc.starts_with(text, mapping.cancellation.starts_with).to_numpy(zero_copy_only=False)


def _amount_and_quantity(values: dict[str, pd.Series], cancelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute amounts, rounded to 6 decimals so that they do not depend on the file format, and quantities."""
    with np.errstate(over="ignore", invalid="ignore"):  # the schema rejects infinite amounts
        if "amount" in values:
            amount = values["amount"].to_numpy(dtype=float)
        else:
            amount = values["quantity"].to_numpy(dtype=float) * values["unit_price"].to_numpy(dtype=float)
        amount = np.where(np.abs(amount) < 1e9, np.round(amount, 6), amount)
        # Without a quantity column, one unit was bought or returned, by the sign of the amount.
        one_unit = np.where(amount < 0, -1.0, 1.0)
    quantity = values["quantity"].to_numpy(dtype=float) if "quantity" in values else one_unit
    amount = np.where(cancelled, -np.abs(amount), amount)
    quantity = np.where(cancelled, -np.abs(quantity), quantity)
    return amount, quantity
