"""Choice of the decimal sign from all numbers of a source."""

import re

import pyarrow.compute as pc

from holdfast.ingestion.parsing.currency_codes import decimal_places, find_currency
from holdfast.inspection.column_evidence import ColumnEvidence
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question

_EAST_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_MIN_GROUPED, _MIN_UNGROUPED = 50, 5
_CLEAR = 0.9  # share of the values of a column that must agree on the decimal sign


def guess_decimal(columns: list[ColumnEvidence]) -> str:
    """Guess the decimal sign that most numbers show.

    Args:
        columns: Evidence of all columns.

    Returns:
        Decimal sign; the point without evidence.
    """
    numbers = [c.numbers for c in columns if c.is_number and not c.column.is_number and not c.is_time]
    return "," if sum(n.comma for n in numbers) > sum(n.point for n in numbers) else "."


def choose_decimal(money: list[ColumnEvidence], guess: str) -> Proposal:
    """Choose the decimal sign of the columns of money.

    Args:
        money: Columns of amount, quantity and unit price.
        guess: Decimal sign that most numbers of the source show.

    Returns:
        Its part of the proposal.
    """
    columns = [c for c in money if not c.column.is_number]
    point, comma = sum(c.numbers.point for c in columns), sum(c.numbers.comma for c in columns)
    shown = next((f"{c.numbers.example} in {c.text}" for c in columns if c.numbers.decimal == guess), "")
    if point and comma and max(point, comma) < _CLEAR * (point + comma):
        text = f"{point:,} numbers have a decimal point and {comma:,} a decimal comma. Which is right for most?"
        answers = tuple(Answer(f"the {name}", {"decimal": sign}) for name, sign in (("point", "."), ("comma", ",")))
        return Proposal(questions=(Question(text, answers, ("decimal",)),))
    if point or comma:
        if comma > point:
            return Proposal((Decision("decimal", ",", f"numbers such as {shown}"),))
        return Proposal()
    for column in columns:
        notation = column.numbers
        if notation.lone_comma or (notation.lone_point and guess == "."):
            sign = "," if notation.lone_comma else "."
            example = next(v.as_py() for v in column.column.text.drop_null() if sign in v.as_py())
            other = "." if sign == "," else ","
            if reason := _find_thousands(column, sign):
                return Proposal((Decision("decimal", other, reason),)) if other != "." else Proposal()
            answers = (
                Answer("it separates thousands", {"decimal": other}),
                Answer("it separates decimals", {"decimal": sign}),
            )
            text = f"{column.text}: does the {sign!r} of {example!r} separate thousands or decimals?"
            return Proposal(questions=(Question(text, answers, ("decimal",)),))
    return Proposal((Decision("decimal", ",", "the other numbers of the source"),)) if guess == "," else Proposal()


def _find_thousands(column: ColumnEvidence, sign: str) -> str:
    """Return the evidence that a sign before three digits groups thousands; "" without one.

    A column with decimals would have some of one or two digits, or the sign in all values. Yen and won have none.
    """
    texts = column.column.text.drop_null()
    if sign == "," and _EAST_ASIAN.search(column.text):
        return "in East Asia the point separates decimals"
    codes = {find_currency(code) or code for code in column.numbers.currencies}
    if codes and not any(map(decimal_places, codes)):
        return f"{', '.join(sorted(codes))} has no decimals"
    has_sign = pc.match_substring(texts, sign)
    short = pc.filter(texts, pc.invert(has_sign))
    if pc.sum(has_sign).as_py() < _MIN_GROUPED or len(short) < _MIN_UNGROUPED:
        return ""
    if pc.any(pc.match_substring_regex(short, "[0-9]{4}")).as_py():
        return ""
    return f"only numbers above 999 have the sign {sign!r}"
