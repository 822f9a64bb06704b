"""Characters around the digits of a number: signs, brackets, currencies, credit and debit marks."""

import re
import unicodedata
from dataclasses import dataclass
from enum import IntEnum

import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.parsing.currency_codes import (
    currencies_of_symbol,
    find_currency,
    find_shared_symbol,
    is_currency_symbol,
)

# A spreadsheet guards text by ="..." or a leading apostrophe.
_GUARDS = (('="', '"'), ("'", ""))
_SYMBOLS = "".join(chr(code) for code in range(0x20, 0x20000) if is_currency_symbol(chr(code)))
_TOKEN = re.compile(rf"[^\W\d_]*[{_SYMBOLS}][^\W\d_]*|[^\W\d_]+(?:/\.|[./])?|\S")
_SIGNS = {"+": 1, "-": -1}
_CREDIT_MARKS = {"cr": "CR", "cr.": "CR", "dr": "DR", "dr.": "DR"}


class Problem(IntEnum):
    """Kind of value that is no amount."""

    NONE = 0
    NOT_A_NUMBER = 1
    PERCENTAGE = 2


@dataclass(frozen=True)
class Affixes:
    """Meaning of the text before and after the digits of a number.

    Attributes:
        sign: 1 or -1.
        currency: ISO 4217 code, currency symbol without a code, or symbol that several currencies share; empty
            without one.
        credit_mark: ``CR`` or ``DR``; empty without a mark.
        separator: Decimal separator before the first digit, as in ``$.50``; empty without one.
        problem: Kind of value that is no amount.
    """

    sign: int = 1
    currency: str = ""
    credit_mark: str = ""
    separator: str = ""
    problem: Problem = Problem.NONE


def normalize_characters(values: pa.StringArray) -> pa.StringArray:
    """Replace characters of other scripts and of typography by those of plain numbers.

    Args:
        values: Texts of numbers.

    Returns:
        Texts with ASCII digits, blanks, minus signs and apostrophes, without invisible characters. Digits of two
        scripts in one number stay as they are.
    """
    present = {character for character in set("".join(values.to_pylist())) if not character.isascii()}
    for character in present & _CHARACTERS.keys():
        values = pc.replace_substring(values, character, _CHARACTERS[character])
    if not present & _DIGITS.keys():
        return values
    return pa.array([_normalize_digits(value) for value in values.to_pylist()], pa.string())


def _normalize_digits(text: str) -> str:
    zeros = {ord(c) - unicodedata.decimal(c) for c in text if c.isdecimal()}
    return "".join(_DIGITS.get(c, c) for c in text) if len(zeros) == 1 else text


def read_affixes(prefix: str, suffix: str, separator_after_digits: bool) -> Affixes:
    """Interpret the text before and after the digits of a number.

    Args:
        prefix: Text before the first digit.
        suffix: Text after the last digit.
        separator_after_digits: True where a decimal separator ends the digits, as in ``12.``.

    Returns:
        Sign, currency and mark, or the problem.
    """
    for start, end in _GUARDS:
        if prefix.startswith(start) and suffix.endswith(end):
            prefix, suffix = prefix[len(start) :], suffix[: len(suffix) - len(end)]
            break
    separator = ""
    if prefix.endswith((".", ",")) and find_currency(prefix.strip(" (-+").lower()) is None:
        prefix, separator = prefix[:-1], prefix[-1]
        if prefix[-1:].isalpha():  # EUR.50 is 50 or 0.50
            return Affixes(problem=Problem.NOT_A_NUMBER)
    before, after = _TOKEN.findall(prefix), _TOKEN.findall(suffix)
    brackets = before.count("("), after.count(")")
    tokens = [token for token in before if token != "("] + [token for token in after if token != ")"]  # noqa: S105  a part of a number
    if "%" in tokens or "‰" in tokens:
        return Affixes(problem=Problem.PERCENTAGE)
    signs = [_SIGNS[token] for token in tokens if token in _SIGNS]
    marks = [_CREDIT_MARKS[token.lower()] for token in tokens if token.lower() in _CREDIT_MARKS]
    names = [token for token in tokens if token not in _SIGNS and token.lower() not in _CREDIT_MARKS]
    currencies = {find_shared_symbol(name) or find_currency(name) for name in names}
    if len(currencies) > 1:  # $5.00 CAD
        currencies = {name for name in currencies if not currencies & currencies_of_symbol(name or "")}
    negatives = brackets[0] + len(marks) + len(signs)
    if (
        brackets not in {(0, 0), (1, 1)}
        or None in currencies
        or len(currencies) > 1
        or negatives > 1
        # 12.- and 12,-- are whole amounts in some countries and negative ones in others.
        or (separator_after_digits and "-" in after)
    ):
        return Affixes(problem=Problem.NOT_A_NUMBER)
    sign = -1 if brackets[0] else signs[0] if signs else 1
    return Affixes(sign, next(iter(currencies), None) or "", "".join(marks), separator)


def _build_characters() -> tuple[dict[str, str], dict[str, str]]:
    characters = {
        " ": "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
        "": "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u061c",
        "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d",
        "'": "\u2018\u2019\u02bc\u00b4`\uff07\u2032",
        ".": "\u066b\uff0e",
        ",": "\u066c\uff0c",
        "+": "\uff0b",
        "(": "\uff08",
        ")": "\uff09",
        "%": "\uff05\u066a",
    }
    table = {character: plain for plain, group in characters.items() for character in group}
    digits = (chr(code) for code in range(0x80, 0x20000))
    return table, {digit: str(unicodedata.decimal(digit)) for digit in digits if digit.isdecimal()}


_CHARACTERS, _DIGITS = _build_characters()
