"""Numbers of a column as written: separators, signs, currencies and marks of each row, before any decision."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.parsing.columns import TextColumn
from holdfast.ingestion.parsing.currency_columns import NO_CURRENCY, CurrencyColumn
from holdfast.ingestion.parsing.number_affixes import Affixes, Problem, normalize_characters, read_affixes
from holdfast.ingestion.parsing.number_notation import Notation, match_pattern, read_notations

_PLAIN = {
    mark: rf"^[+-]?(?:(?:[0-9]+\{mark}?[0-9]*|\{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|infinity))$" for mark in ".,"
}
_PARTS = r"^(?P<prefix>[^0-9]*)(?P<body>[0-9](?:[0-9.,' ]*[0-9])?[.,]?(?:[eE][+-]?[0-9]+)?)(?P<suffix>[^0-9]*)$"
_CREDITS = {"": 0, "CR": 1, "DR": -1}
_LONGEST_AFFIX = 12  # characters before or after the digits of a number


@dataclass(frozen=True)
class NumberRows:
    """Numbers of a column, shape (rows,) each.

    Attributes:
        notations: ``Notation`` of each number, -1 without a number.
        values: Signed value in the mapping's notation.
        other_values: Signed value in the other notation; NaN for numbers without separators of thousands.
        separators: Code point of the separator of thousands, 0 without one.
        certain: True where the separator of thousands is certain.
        decimals: True for three digits or more after a decimal separator that is certain.
        currencies: Currency written with each number; a symbol such as $ where several currencies share it.
        credits: 1 for a mark CR, -1 for DR, otherwise 0.
        problems: ``Problem`` of a value that is no number.
    """

    notations: np.ndarray
    values: np.ndarray
    other_values: np.ndarray
    separators: np.ndarray
    certain: np.ndarray
    decimals: np.ndarray
    currencies: CurrencyColumn
    credits: np.ndarray
    problems: np.ndarray


def read_number_rows(column: TextColumn, decimal: str) -> NumberRows:
    """Read the numbers of a column.

    Args:
        column: Column as text.
        decimal: Decimal separator of the mapping.

    Returns:
        Numbers of each row in both notations.
    """
    size = len(column.text)
    plain = match_pattern(column.text, _PLAIN[decimal])
    notations, decimals = _plain_notations(column.text, plain, decimal)
    rows = NumberRows(
        notations=notations,
        values=_cast_plain(column.text, plain, decimal),
        other_values=np.full(size, np.nan),
        separators=np.zeros(size, dtype=np.uint8),
        certain=np.zeros(size, dtype=bool),
        decimals=decimals,
        currencies=CurrencyColumn([], np.full(size, NO_CURRENCY)),
        credits=np.zeros(size, dtype=np.int8),
        problems=np.zeros(size, dtype=np.int8),
    )
    other = ~plain & ~column.missing
    if column.is_number:
        rows.problems[other] = Problem.NOT_A_NUMBER
        return rows
    return _read_decorated(column.text, rows, other, decimal) if other.any() else rows


def _plain_notations(text: pa.StringArray, plain: np.ndarray, decimal: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the notation of plain numbers, and the rows with three decimals or more for certain."""
    own, lone = (Notation.POINT, Notation.LONE_POINT) if decimal == "." else (Notation.COMMA, Notation.LONE_COMMA)
    position = pc.fill_null(pc.find_substring(text, decimal), -1).to_numpy()
    places = pc.fill_null(pc.binary_length(text), 0).to_numpy() - position - 1
    notations = np.where(plain, np.where(position >= 0, own, Notation.WHOLE), -1).astype(np.int8)
    decimals = plain & (position >= 0) & (places >= 3)
    if decimals.any():
        selected = np.flatnonzero(decimals)
        candidates = text.take(pa.array(selected))
        is_lone = match_pattern(candidates, rf"^[+-]?[1-9][0-9]{{0,2}}\{decimal}[0-9]{{3}}$")
        notations[selected[is_lone]] = lone
        decimals[selected] = ~is_lone & match_pattern(candidates, rf"\{decimal}[0-9]{{3}}")
    return notations, decimals


def _cast_plain(text: pa.StringArray, plain: np.ndarray, decimal: str) -> np.ndarray:
    text = pc.if_else(pa.array(plain), text, pa.scalar(None, pa.string()))
    numbers = pc.cast(text if decimal == "." else pc.replace_substring(text, ",", "."), pa.float64())
    return np.array(numbers.to_pandas())


def _read_decorated(text: pa.StringArray, rows: NumberRows, other: np.ndarray, decimal: str) -> NumberRows:
    """Read the values that are no plain number, each different one once."""
    encoded = pc.dictionary_encode(text.filter(pa.array(other)))
    of_row = encoded.indices.to_numpy()
    written = encoded.dictionary
    if not pc.all(pc.string_is_ascii(written)).as_py():
        written = normalize_characters(written)
    parts = pc.extract_regex(pc.utf8_trim_whitespace(written), _PARTS)
    prefix, body, suffix = (pc.fill_null(pc.struct_field(parts, name), "") for name in ("prefix", "body", "suffix"))
    affixes, positions = _read_all_affixes(prefix, body, suffix)
    separators = pa.array([affix.separator for affix in affixes], pa.string()).take(pa.array(positions))
    found = read_notations(pc.binary_join_element_wise(separators, body, ""))

    currencies = sorted({affix.currency for affix in affixes if affix.currency})
    code_of = {code: position for position, code in enumerate(currencies)} | {"": NO_CURRENCY}
    sign = np.array([affix.sign for affix in affixes])[positions]
    problems = np.array([affix.problem for affix in affixes], dtype=np.int8)[positions]
    by_mapping, by_other = (found.by_point, found.by_comma) if decimal == "." else (found.by_comma, found.by_point)
    rows.notations[other] = np.where(problems == Problem.NONE, found.notations, -1)[of_row]
    rows.values[other] = (by_mapping * sign)[of_row]
    rows.other_values[other] = (by_other * sign)[of_row]
    rows.separators[other] = found.separators[of_row]
    rows.certain[other] = found.certain[of_row]
    rows.decimals[other] = found.decimals[of_row]
    rows.problems[other] = problems[of_row]
    rows.credits[other] = np.array([_CREDITS[affix.credit_mark] for affix in affixes])[positions][of_row]
    found_currencies = CurrencyColumn(currencies, rows.currencies.positions)
    found_currencies.positions[other] = np.array([code_of[affix.currency] for affix in affixes])[positions][of_row]
    return replace(rows, currencies=found_currencies)


def _read_all_affixes(
    prefix: pa.StringArray, body: pa.StringArray, suffix: pa.StringArray
) -> tuple[list[Affixes], np.ndarray]:
    """Interpret each different pair of prefix and suffix once; return the pairs and the position of each value's."""
    ends = pc.if_else(pc.match_substring_regex(body, r"[.,]$"), "1", "0")
    is_number = pc.not_equal(body, "")
    short = pc.and_(
        pc.less_equal(pc.utf8_length(prefix), _LONGEST_AFFIX), pc.less_equal(pc.utf8_length(suffix), _LONGEST_AFFIX)
    )
    key = pc.binary_join_element_wise(prefix, suffix, ends, "\x00")
    key = pc.if_else(pc.and_(is_number, short), key, "")
    encoded = pc.dictionary_encode(key)
    affixes = []
    for text in encoded.dictionary.to_pylist():
        if text == "":
            affixes.append(Affixes(problem=Problem.NOT_A_NUMBER))
        else:
            before, after, end = text.split("\x00")
            affixes.append(read_affixes(before, after, end == "1"))
    return affixes, encoded.indices.to_numpy()
