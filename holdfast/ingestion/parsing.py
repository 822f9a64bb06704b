"""From strings to the columns of a transaction; what cannot be read becomes null, with a reason."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.readers import SourceFile

# Ways in which exports write that a value is not there, compared in lower case.
MISSING_VALUES = ["", "nan", "none", "null", "na", "n/a", "<na>", "nat"]
_NUMBER = r"^[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|infinity))$"
_ISO_DATE = r"^[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[T ].*)?$"
_OFFSET = r"[T ].*(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)$"


@dataclass(frozen=True)
class RowIssue:
    """A reason and the rows it holds for."""

    reason: str
    rows: np.ndarray  # bool, one per row of the part


@dataclass(frozen=True)
class ParsedRows:
    """The typed columns of one part, and why a value of them is null.

    ``unreadable`` names each field of the mapping without a single readable value.
    """

    frame: pd.DataFrame
    problems: list[RowIssue]
    unreadable: list[str]


def parse_rows(part: SourceFile, mapping: ColumnMapping) -> ParsedRows:
    """Type the mapped columns of a part.

    Returns a frame with ``customer_id`` (object), ``event_timestamp`` (UTC, µs), ``amount`` and ``quantity``
    (float64), one row per row of the part.
    """
    columns = mapping.columns.by_field
    problems: list[RowIssue] = []
    values: dict[str, pd.Series] = {}
    for field, column in columns.items():
        text = pc.utf8_trim_whitespace(part.rows.column(column).combine_chunks())
        missing = pc.is_in(pc.utf8_lower(text), value_set=pa.array(MISSING_VALUES))
        text = pc.if_else(missing, pa.scalar(None, pa.string()), text)
        typed = column in part.typed_columns
        if field == "customer_id":
            value, noun = _customer_ids(text), "an id"
        elif field == "event_timestamp":
            value, noun = _timestamps(text, mapping, typed), "a timestamp"
        else:
            value, noun = _numbers(text, "." if typed else mapping.decimal), "a number"
        absent = missing.to_numpy(zero_copy_only=False)
        problems.append(RowIssue(f"{field} is missing", absent))
        problems.append(RowIssue(f"{field} is not {noun}", value.isna().to_numpy() & ~absent))
        values[field] = value
    amount, quantity = _amount_and_quantity(values, _cancelled(part, mapping))
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
        problems=[problem for problem in problems if problem.rows.any()],
        unreadable=[field for field in columns if values[field].isna().all()],
    )


def _customer_ids(text: Any) -> pd.Series:
    """Ids as strings; a whole number written as a float loses its ".0", leading zeros stay."""
    return pc.replace_substring_regex(text, r"^([0-9]+)\.0+$", r"\1").to_pandas()


def _numbers(text: Any, decimal: str) -> pd.Series:
    if decimal == ",":
        text = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
    text = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, pa.scalar(None, pa.string()))
    return pc.cast(text, pa.float64()).to_pandas()


def _timestamps(text: Any, mapping: ColumnMapping, typed: bool) -> pd.Series:
    """UTC timestamps in microseconds; what is out of reach of a nanosecond clock (1677 to 2262) is unreadable."""
    pattern = mapping.timestamp_format
    if pattern is not None and not typed:
        values = text.to_pandas()
        if "%z" in pattern or "%Z" in pattern:
            return pd.to_datetime(values, format=pattern, errors="coerce", utc=True).dt.as_unit("us")
        return _to_utc(pd.to_datetime(values, format=pattern, errors="coerce"), mapping.time_zone)
    # pandas reads "now", "today" and bare years as ISO 8601: a date is required.
    text = pc.if_else(pc.match_substring_regex(text, _ISO_DATE), text, pa.scalar(None, pa.string()))
    own_offset = pc.fill_null(pc.match_substring_regex(text, _OFFSET), False).to_numpy(zero_copy_only=False)
    values = text.to_pandas()
    result = pd.Series(pd.NaT, index=values.index, dtype="datetime64[us, UTC]")
    if own_offset.any():
        aware = pd.to_datetime(values[own_offset], format="ISO8601", errors="coerce", utc=True)
        result[own_offset] = aware.dt.as_unit("us")
    if not own_offset.all():
        local = pd.to_datetime(values[~own_offset], format="ISO8601", errors="coerce")
        result[~own_offset] = _to_utc(local, mapping.time_zone)
    return result


def _to_utc(local: pd.Series, zone: str) -> pd.Series:
    """Local clock times to UTC.

    A time the clocks show twice (autumn) is the first of the two; a time they skip (spring) is the moment the
    clocks jump.
    """
    local = local.dt.as_unit("us")
    first = np.ones(len(local), dtype=bool)
    return local.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").dt.tz_convert("UTC")


def _cancelled(part: SourceFile, mapping: ColumnMapping) -> np.ndarray:
    if mapping.cancellation is None:
        return np.zeros(part.rows.num_rows, dtype=bool)
    text = pc.utf8_trim_whitespace(part.rows.column(mapping.cancellation.column).combine_chunks())
    return pc.starts_with(text, mapping.cancellation.starts_with).to_numpy(zero_copy_only=False)


def _amount_and_quantity(values: dict[str, pd.Series], cancelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Amounts to 6 decimals, so that a sum or product does not depend on the file format it came through."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinite amounts are the contract's to refuse
        if "amount" in values:
            amount = values["amount"].to_numpy(dtype=float)
        else:
            amount = values["quantity"].to_numpy(dtype=float) * values["unit_price"].to_numpy(dtype=float)
        amount = np.where(np.abs(amount) < 1e9, np.round(amount, 6), amount)
        # Without a quantity one unit was bought or returned, whichever the amount says.
        one_unit = np.where(amount < 0, -1.0, 1.0)
    quantity = values["quantity"].to_numpy(dtype=float) if "quantity" in values else one_unit
    amount = np.where(cancelled, -np.abs(amount), amount)
    quantity = np.where(cancelled, -np.abs(quantity), quantity)
    return amount, quantity
