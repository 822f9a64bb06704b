"""Evidence of a column of numbers: the notation of its values."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow.compute as pc

from holdfast.ingestion.parsing.columns import TextColumn
from holdfast.ingestion.parsing.number_notation import Notation
from holdfast.ingestion.parsing.number_rows import read_number_rows

_MIN_SHARE = 0.9
_FIRST_VALUES = 500
_FIRST_SHARE = 0.3


@dataclass(frozen=True)
class NumberEvidence:
    """Notation of the numbers of one column.

    Attributes:
        share: Share of the present values that are numbers.
        point: Values that show a decimal point.
        comma: Values that show a decimal comma.
        lone_point: Values such as 1.234, with one point before three digits.
        lone_comma: Values such as 1,234.
        example: Value that shows the decimal sign, else a lone one; "" without either.
        currencies: Currencies written with the numbers.
    """

    share: float = 0.0
    point: int = 0
    comma: int = 0
    lone_point: int = 0
    lone_comma: int = 0
    example: str = ""
    currencies: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Return whether the column holds numbers."""
        return self.share >= _MIN_SHARE

    @property
    def is_integer(self) -> bool:
        """Return whether no number has decimals for certain."""
        return not self.point and not self.comma

    @property
    def decimal(self) -> str:
        """Return the decimal sign, "" where no value shows it."""
        if not self.point and not self.comma:
            return ""
        return "," if self.comma > self.point else "."


def measure_numbers(column: TextColumn) -> NumberEvidence:
    """Measure how the numbers of a column are written.

    Args:
        column: Column as text.

    Returns:
        Evidence; empty for a column whose first values are mostly no numbers.
    """
    present = pc.drop_null(column.text)
    first = replace(column, text=pc.unique(present[: _FIRST_VALUES * 4])[:_FIRST_VALUES])
    if not len(present) or (read_number_rows(first, ".").notations >= 0).mean() < _FIRST_SHARE:
        return NumberEvidence()
    rows = read_number_rows(replace(column, text=present), ".")
    counts = np.bincount(rows.notations[rows.notations >= 0], minlength=len(Notation))
    by_notation = {notation: int(counts[notation]) for notation in Notation}
    shown = Notation.COMMA if by_notation[Notation.COMMA] > by_notation[Notation.POINT] else Notation.POINT
    lone = np.isin(rows.notations, (Notation.LONE_POINT, Notation.LONE_COMMA))
    examples = np.flatnonzero(rows.notations == shown)
    examples = examples if len(examples) else np.flatnonzero(lone)
    return NumberEvidence(
        share=float((rows.notations >= 0).mean()),
        point=by_notation[Notation.POINT],
        comma=by_notation[Notation.COMMA],
        lone_point=by_notation[Notation.LONE_POINT],
        lone_comma=by_notation[Notation.LONE_COMMA],
        example=present[int(examples[0])].as_py() if len(examples) else "",
        currencies=tuple(rows.currencies.codes),
    )


def read_numbers(column: TextColumn, decimal: str) -> np.ndarray:
    """Read the numbers of a column.

    Args:
        column: Column as text.
        decimal: Decimal sign.

    Returns:
        Numbers, NaN where a value is none or has the other decimal sign, shape (rows,).
    """
    rows = read_number_rows(column, "." if column.is_number else decimal)
    other = Notation.COMMA if decimal == "." else Notation.POINT
    is_other = (rows.notations == other) & (not column.is_number)
    return np.where((rows.notations < 0) | is_other, np.nan, rows.values)
