"""Cells of a spreadsheet column as the strings of a CSV file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_EXACT_DIGITS = 1e15  # a spreadsheet stores 15 digits of a number
_DATE_LIKE = re.compile(r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b")


@dataclass(frozen=True)
class SheetColumn:
    """Column of a sheet.

    Attributes:
        text: Cells as strings, ``""`` for an empty one, shape (rows,).
        type: Type shared by all cells; None for text, and where types are mixed.
        has_dates: True with a cell formatted as a date.
        has_other: True with a cell that is neither a date nor empty.
        date_like: First text cell that looks like a date; None without one.
        inexact: First number with more digits than a spreadsheet stores; None without one.
    """

    text: pa.Array
    type: pa.DataType | None
    has_dates: bool = False
    has_other: bool = False
    date_like: str | None = None
    inexact: float | None = None


def convert_cells(cells: Sequence[Any], decimal: str) -> SheetColumn:
    """Convert the cells of a column.

    Args:
        cells: Values as the workbook has them: text, numbers, dates, times, truth values; ``""`` for an empty cell.
        decimal: Decimal separator of text cells; numbers between them are written in the same way.

    Returns:
        Whole numbers without ``.0``, dates in ISO 8601, text unchanged.
    """
    types = list(map(type, cells))
    kinds = set(types)
    if kinds <= {str}:
        return SheetColumn(pa.array(cells, pa.string()), None)
    text = np.array(["" if kind is not str else cell for cell, kind in zip(cells, types, strict=True)], dtype=object)
    values = np.empty(len(cells), dtype=object)
    values[:] = cells
    masks = {kind: np.fromiter((found is kind for found in types), bool, len(types)) for kind in kinds}
    none = np.zeros(len(cells), dtype=bool)
    numbers = masks.get(float, none) | masks.get(int, none)
    dates = masks.get(datetime, none) | masks.get(date, none)
    texts = masks.get(str, none) & (text != "")
    exact: float | None = None
    if numbers.any():
        amounts = values[numbers].astype(float)
        text[numbers] = _write_numbers(amounts)
        exact = next(iter(amounts[np.abs(amounts) >= _EXACT_DIGITS].tolist()), None)
        if decimal != "." and texts.any():
            text[numbers] = [value.replace(".", decimal) for value in text[numbers]]
    if dates.any():
        text[dates] = _write_dates(values[dates])
    for kind, mask in masks.items():
        if kind not in (str, float, int, datetime, date):
            text[mask] = [str(cell).lower() if kind is bool else str(cell) for cell in values[mask]]
    filled = text != ""
    if dates.any() and not numbers.any():  # text between dates is unreadable, whatever the format
        midnight = all(len(cell) == len("2025-01-01") for cell in text[dates])
        kind_of_all: pa.DataType | None = pa.date32() if midnight else pa.timestamp("us")
    elif (filled == numbers).all():
        kind_of_all = pa.float64()
    else:
        kind_of_all = None
    return SheetColumn(
        text=pa.array(text, pa.string()),
        type=kind_of_all,
        has_dates=bool(dates.any()),
        has_other=bool((filled & ~dates).any()),
        date_like=next((cell for cell in text[texts] if _DATE_LIKE.match(cell)), None) if dates.any() else None,
        inexact=exact,
    )


def _write_numbers(values: np.ndarray) -> list[str]:
    """Write each number in its shortest exact form, without an exponent where it is whole and below 1e15."""
    whole = (values == np.trunc(values)) & (np.abs(values) < _EXACT_DIGITS)
    if whole.all():
        return list(pc.cast(pa.array(values.astype(np.int64)), pa.string()).to_pylist())
    return [
        str(int(value)) if is_whole else repr(value) for value, is_whole in zip(values.tolist(), whole, strict=True)
    ]


def _write_dates(values: np.ndarray) -> list[str]:
    """Write dates, and times in ISO 8601 to the millisecond; a column of midnights is one of dates."""
    times = np.array(values, dtype="datetime64[us]")
    times = (times + np.timedelta64(500, "us")).astype("datetime64[ms]")
    if (times == times.astype("datetime64[D]")).all():
        return [str(day) for day in times.astype("datetime64[D]")]
    text = pc.cast(pa.array(times.astype("datetime64[us]")), pa.string())
    return list(pc.replace_substring_regex(text, r"\.0+$", "").to_pylist())
