"""Notation of the numbers of a source: decimal sign, with the values that show it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.parsing.columns import TextColumn

_SYMBOLS = r"[\p{Sc}%()'’+\-−\s\x{00a0}\x{202f}\x{2009}]|^(?:[A-Z]{3})|(?:[A-Z]{3}|CR|DR)$"
_NUMBER = r"^(?:[0-9][0-9.,]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?$"
_GROUPED = r"^[1-9][0-9]{0,2}(?:SEP[0-9]{3})+$"
_MAX_DISTINCT = 50_000
_MIN_SHARE = 0.9


@dataclass(frozen=True)
class NumberNotation:
    """Notation of the numbers of one column.

    Attributes:
        share: Share of the present values that look like numbers.
        point: Values in which the point can only be the decimal sign.
        comma: Values in which the comma can only be the decimal sign.
        point_open: Values with one point and three digits behind it: 1.234.
        comma_open: Values with one comma and three digits behind it: 1,234.
        example: Value that shows the decimal sign; "" without one.
    """

    share: float
    point: int
    comma: int
    point_open: int
    comma_open: int
    example: str

    @property
    def is_number(self) -> bool:
        """Return whether the column holds numbers."""
        return self.share >= _MIN_SHARE

    @property
    def decimal(self) -> str:
        """Return the decimal sign, "" where no value shows it."""
        if not self.point and not self.comma:
            return ""
        return "," if self.comma > self.point else "."


def measure_notation(column: TextColumn) -> NumberNotation:
    """Count the values that show a decimal sign.

    Args:
        column: Column as text.

    Returns:
        Notation of the column.
    """
    counts = pc.value_counts(column.text.drop_null())
    values, rows = counts.field("values")[:_MAX_DISTINCT], counts.field("counts")[:_MAX_DISTINCT]
    total = int(pc.sum(rows).as_py() or 0)
    if not total:
        return NumberNotation(0.0, 0, 0, 0, 0, "")
    bare = pc.replace_substring_regex(values, _SYMBOLS, "")
    is_number = pc.match_substring_regex(bare, _NUMBER)

    def count(selected: Any) -> int:
        return int(pc.sum(pc.if_else(pc.and_(selected, is_number), rows, 0)).as_py() or 0)

    if column.typed:
        return NumberNotation(count(is_number) / total, count(is_number), 0, 0, 0, "")
    points, commas = pc.count_substring(bare, "."), pc.count_substring(bare, ",")
    last_point = pc.greater(
        pc.find_substring(pc.utf8_reverse(bare), ","), pc.find_substring(pc.utf8_reverse(bare), ".")
    )
    both = pc.and_(pc.greater(points, 0), pc.greater(commas, 0))
    grouped_points = pc.match_substring_regex(bare, _GROUPED.replace("SEP", r"\."))
    grouped_commas = pc.match_substring_regex(bare, _GROUPED.replace("SEP", ","))
    one_point, one_comma = pc.equal(points, 1), pc.equal(commas, 1)
    no_point, no_comma = pc.equal(points, 0), pc.equal(commas, 0)
    is_point = pc.or_(
        pc.and_(both, last_point),
        pc.or_(
            pc.and_(pc.and_(one_point, no_comma), pc.invert(grouped_points)),
            pc.and_(pc.greater(commas, 1), pc.and_(no_point, grouped_commas)),
        ),
    )
    is_comma = pc.or_(
        pc.and_(both, pc.invert(last_point)),
        pc.or_(
            pc.and_(pc.and_(one_comma, no_point), pc.invert(grouped_commas)),
            pc.and_(pc.greater(points, 1), pc.and_(no_comma, grouped_points)),
        ),
    )
    shown = is_comma if count(is_comma) > count(is_point) else is_point
    examples = values.filter(pc.and_(shown, is_number))
    return NumberNotation(
        share=count(is_number) / total,
        point=count(is_point),
        comma=count(is_comma),
        point_open=count(pc.and_(pc.and_(one_point, no_comma), grouped_points)),
        comma_open=count(pc.and_(pc.and_(one_comma, no_point), grouped_commas)),
        example=examples[0].as_py() if len(examples) else "",
    )


def read_numbers(column: TextColumn, decimal: str) -> np.ndarray:
    """Read numbers for evidence: symbols and group separators are left out, whatever their position.

    Args:
        column: Column as text.
        decimal: Decimal sign.

    Returns:
        Numbers, NaN where a value is none, shape (rows,).
    """
    negative = pc.match_substring_regex(column.text, r"^\W*[-−(]|[-−]$")
    bare = pc.replace_substring_regex(column.text, _SYMBOLS, "")
    if not column.typed:
        bare = pc.replace_substring(bare, "." if decimal == "," else ",", "")
        bare = pc.replace_substring(bare, ",", ".")
    bare = pc.if_else(
        pc.match_substring_regex(bare, r"^[0-9.]+(?:[eE][+-]?[0-9]+)?$"), bare, pa.scalar(None, pa.string())
    )
    bare = pc.if_else(pc.less_equal(pc.count_substring(bare, "."), 1), bare, pa.scalar(None, pa.string()))
    bare = pc.if_else(pc.equal(bare, "."), pa.scalar(None, pa.string()), bare)
    values = np.asarray(pc.cast(bare, pa.float64()).to_numpy(zero_copy_only=False), dtype=float)
    flip = np.asarray(pc.fill_null(negative, False).to_numpy(zero_copy_only=False), dtype=bool)
    return np.where(flip, -values, values)
