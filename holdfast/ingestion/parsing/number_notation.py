"""Notation of numbers: evidence for a decimal point or comma, separators of thousands."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Notation(IntEnum):
    """Notation that the separators of a number show."""

    WHOLE = 0
    POINT = 1  # a decimal point, or commas that can only separate thousands: 1.5, 1,234.5, 1,234,567
    COMMA = 2  # a decimal comma, or points that can only separate thousands
    LONE_POINT = 3  # 1.234, either 1.234 or 1234
    LONE_COMMA = 4  # 1,234
    MALFORMED = 5  # separators between groups of another size than three


_LONE = {Notation.LONE_POINT: r"\.", Notation.LONE_COMMA: ","}


@dataclass(frozen=True)
class NotatedNumbers:
    """Numbers with separators, as read by a decimal point and by a decimal comma.

    Attributes:
        notations: Notation of each number, shape (numbers,).
        by_point: Value with a decimal point, NaN where that reading is impossible, shape (numbers,).
        by_comma: Value with a decimal comma, shape (numbers,).
        separators: Code point of the separator of thousands, 0 without one, shape (numbers,).
        certain: True where the separator of thousands is certain: several groups, or decimals after it.
        decimals: True for three digits or more after a decimal separator that is certain.
    """

    notations: np.ndarray
    by_point: np.ndarray
    by_comma: np.ndarray
    separators: np.ndarray
    certain: np.ndarray
    decimals: np.ndarray


def read_notations(text: pa.StringArray) -> NotatedNumbers:
    """Read unsigned numbers of digits, separators and an exponent.

    Args:
        text: Numbers of ASCII digits, points, commas, blanks and apostrophes.

    Returns:
        Notation and possible values of each number.
    """
    size = len(text)
    notations = np.full(size, Notation.MALFORMED, dtype=np.int8)
    separators = np.zeros(size, dtype=np.uint8)
    spaced = {
        mark: match_pattern(text, rf"^[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+(?:[.,][0-9]*)?$") for mark in (" ", "'")
    }
    is_spaced = spaced[" "] | spaced["'"]
    certain = is_spaced & match_pattern(text, r"[.,]|[ '][0-9]{3}[ ']")
    for mark, rows in spaced.items():
        separators[rows] = ord(mark)
    notations[is_spaced] = Notation.WHOLE
    notations[is_spaced & match_pattern(text, r"\.")] = Notation.POINT
    notations[is_spaced & match_pattern(text, ",")] = Notation.COMMA
    notations[match_pattern(text, r"^[0-9]+(?:[eE][+-]?[0-9]+)?$")] = Notation.WHOLE
    for own, decimal, group in ((Notation.POINT, r"\.", ","), (Notation.COMMA, ",", r"\.")):
        notations[match_pattern(text, rf"^(?:[0-9]+{decimal}[0-9]*|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?$")] = own
        grouped = rf"^[1-9][0-9]{{0,2}}(?:(?:{group}[0-9]{{3}})+{decimal}[0-9]*|(?:{group}[0-9]{{3}}){{2,}})$"
        rows = match_pattern(text, grouped)
        notations[rows] = own
        separators[rows] = ord(group[-1])
        certain |= rows
    indian = match_pattern(text, r"^[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]*)?$")
    western = match_pattern(text, r"^[1-9][0-9]{0,2}(?:,[0-9]{3}){2,}(?:\.[0-9]*)?$")
    if indian.any() and indian.sum() >= western.sum():  # 12,34,567 and 1,234,567 are not of one column
        notations[indian], separators[indian] = Notation.POINT, ord(",")
        notations[western], separators[western] = Notation.MALFORMED, 0
        certain = (certain & ~western) | indian
    lone = {own: match_pattern(text, rf"^[1-9][0-9]{{0,2}}{mark}[0-9]{{3}}$") for own, mark in _LONE.items()}
    notations[lone[Notation.LONE_POINT]] = Notation.LONE_POINT
    notations[lone[Notation.LONE_COMMA]] = Notation.LONE_COMMA
    plain = pc.replace_substring_regex(text, "[ ']", "")
    by_point = _to_numbers(pc.replace_substring(plain, ",", ""), notations == Notation.MALFORMED)
    by_comma = pc.replace_substring(pc.replace_substring(plain, ".", ""), ",", ".")
    decimals = match_pattern(text, r"[.,][0-9]{3,}(?:[eE].*)?$") & np.isin(notations, (Notation.POINT, Notation.COMMA))
    decimals &= ~match_pattern(text, r"^[0-9]+(?:,[0-9]+){2,}$|^[0-9]+(?:\.[0-9]+){2,}$")
    return NotatedNumbers(
        notations, by_point, _to_numbers(by_comma, notations == Notation.MALFORMED), separators, certain, decimals
    )


def match_pattern(text: pa.StringArray, pattern: str) -> np.ndarray:
    """Match the values of a column with a regular expression.

    Args:
        text: Values, null where missing.
        pattern: Regular expression (RE2), found anywhere in a value.

    Returns:
        True for each match, shape (values,).
    """
    return np.asarray(pc.fill_null(pc.match_substring_regex(text, pattern), False).to_numpy(zero_copy_only=False))


def _to_numbers(text: pa.StringArray, excluded: np.ndarray) -> np.ndarray:
    readable = match_pattern(text, r"^(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$") & ~excluded
    values = pc.cast(pc.if_else(pa.array(readable), text, pa.scalar(None, pa.string())), pa.float64())
    return np.asarray(pc.fill_null(values, float("nan")).to_numpy(zero_copy_only=False))
