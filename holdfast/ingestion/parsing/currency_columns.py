"""Currency of each row: the column of currencies, and the currencies and symbols written with the amounts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from holdfast.ingestion.parsing.columns import TextColumn, read_text_column
from holdfast.ingestion.parsing.currency_codes import currencies_of_symbol, find_currency, is_currency_name
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.value_rules import CurrencyRule

NO_CURRENCY = -1
UNKNOWN_CURRENCY = -2


@dataclass(frozen=True)
class CurrencyColumn:
    """Currency of each row.

    Attributes:
        codes: ISO 4217 codes that occur.
        positions: Position in ``codes`` of each row's currency, -1 without one, shape (rows,).
    """

    codes: list[str]
    positions: np.ndarray

    def rows_of(self, code: str) -> np.ndarray:
        """Mark the rows of a currency.

        Args:
            code: ISO 4217 code.

        Returns:
            True for each row in that currency, shape (rows,).
        """
        return np.asarray(self.positions == (self.codes.index(code) if code in self.codes else UNKNOWN_CURRENCY - 1))


def find_currency_columns(files: Sequence[SourceFile], mapped: str | None) -> list[str]:
    """Find the columns of currencies of a source.

    Args:
        files: Files of the source.
        mapped: Column in the mapping; None without one.

    Returns:
        The mapped column, else the columns that are named currency, or the like, in any file.
    """
    if mapped is not None:
        return [mapped]
    return list(dict.fromkeys(name for file in files for name in file.rows.column_names if is_currency_name(name)))


def read_currencies(column: TextColumn, mapped: str | None) -> CurrencyColumn | None:
    """Read the column of currencies of the files of a column.

    Args:
        column: Another column of the same files.
        mapped: Name of the column of currencies in the mapping; None without one.

    Returns:
        Currency of each row, a position below -1 for an unknown one; None without a mapped column, and without
        exactly one column named currency in each file, with currencies only.
    """
    names = find_currency_columns(column.files, mapped)
    if len(names) != 1 or any(file.rows.column_names.count(names[0]) != 1 for file in column.files):
        return None
    name = names[0]
    encoded = pc.dictionary_encode(read_text_column(column.files, name).text)
    found = [find_currency(text) for text in encoded.dictionary.to_pylist()]
    codes = sorted({code for code in found if code is not None})
    of_unique = np.array([UNKNOWN_CURRENCY if code is None else codes.index(code) for code in found] + [NO_CURRENCY])
    indices = pd.Series(encoded.indices.to_pandas()).fillna(-1).to_numpy(dtype=np.int64)
    positions = of_unique[indices]
    return CurrencyColumn(codes, positions) if mapped or (positions != UNKNOWN_CURRENCY).all() else None


def resolve_symbols(
    marks: CurrencyColumn, currencies: CurrencyColumn | None, rule: CurrencyRule | None
) -> CurrencyColumn:
    """Replace symbols that several currencies share, such as $, by the currency that each stands for.

    That is the currency in the column of currencies, else the only one that the rule names, else the most traded one.

    Args:
        marks: Currency or symbol written with each amount.
        currencies: Column of currencies; None without one.
        rule: Currency rule of the mapping; None without one.

    Returns:
        Currency of each amount.
    """
    named = {rule.only, rule.default, *(rule.rates or ())} if rule is not None else set()
    codes, positions = list(currencies.codes if currencies else ()), np.full(len(marks.positions), NO_CURRENCY)
    for position, symbol in enumerate(marks.codes):
        rows = marks.positions == position
        shared = currencies_of_symbol(symbol)
        usual = find_currency(symbol) or symbol
        candidates = named & shared
        code = next(iter(candidates)) if len(candidates) == 1 else usual
        codes += [code] if code not in codes else []
        positions[rows] = codes.index(code)
        if currencies is not None and shared:
            of_symbol = np.array([code in shared for code in currencies.codes] + [False, False])
            fits = rows & of_symbol[currencies.positions]
            positions[fits] = currencies.positions[fits]
    return CurrencyColumn(codes, positions)


def merge_currencies(first: CurrencyColumn, second: CurrencyColumn) -> tuple[CurrencyColumn, np.ndarray]:
    """Complete the column of currencies by those written with the amounts.

    Args:
        first: Column of currencies.
        second: Currencies written with the amounts.

    Returns:
        Currency of each row, and True for the rows where the two differ.
    """
    codes = list(dict.fromkeys([*first.codes, *second.codes]))
    positions = np.array([codes.index(code) for code in second.codes] + [NO_CURRENCY])[second.positions]
    conflict = (first.positions >= 0) & (positions >= 0) & (first.positions != positions)
    return CurrencyColumn(codes, np.where(first.positions == NO_CURRENCY, positions, first.positions)), conflict
