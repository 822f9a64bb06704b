"""Price and quantity of a row: unit price or price of the row, and whether the quantity fits the amount."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from holdfast.inspection.column_evidence import ColumnEvidence, measure_determination
from holdfast.inspection.money_relations import reduce_amounts
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question

KEYS = _AMOUNT, _QUANTITY, _PRICE = "columns.amount", "columns.quantity", "columns.unit_price"
_MIN_SEVERAL = 30  # rows with a quantity other than 1
_LINE_CORRELATION = 0.3  # of quantity and price, above which the price may be that of the line
_MOST, _CLEARLY = 0.8, 0.5
_MAX_PAIRS = 6


def multiply_price(
    prices: list[ColumnEvidence], quantities: list[ColumnEvidence], columns: list[ColumnEvidence], decimal: str
) -> Proposal:
    """Choose quantity and unit price, or the price as the amount where it is that of the row.

    Args:
        prices: Columns with the name of a price.
        quantities: Columns with the name of a quantity.
        columns: All columns.
        decimal: Decimal sign.

    Returns:
        Decisions, or the question which columns make the amount.
    """
    prices = list(reduce_amounts(prices, columns, decimal).columns)
    quantity, price = quantities[0], prices[0]
    if len(prices) > 1 or len(quantities) > 1:
        pairs = list(product(quantities, prices))[:_MAX_PAIRS]
        answers = tuple(Answer(f"{q.text} x {p.text}", {_QUANTITY: q.text, _PRICE: p.text}) for q, p in pairs)
        listed = ", ".join(repr(c.text) for c in (*prices, *quantities))
        return Proposal(questions=(Question(f"Which of {listed} make the amount of a row?", answers, KEYS),))
    values = pd.DataFrame({"quantity": quantity.read_numbers(decimal), "price": price.read_numbers(decimal)}).abs()
    several = (values["quantity"].dropna() != 1).sum() >= _MIN_SEVERAL
    for item in (c for c in columns if several and c.name.is_product and not c.is_number and c is not price):
        of_piece, of_row = _compare_with_single_pieces(item, values)
        if of_row > _MOST and of_row > of_piece + _CLEARLY:
            reason = f"{price.text} / {quantity.text} is the price of a single piece of the same {item.text}"
            return Proposal((Decision(_AMOUNT, price.text, reason), Decision(_QUANTITY, quantity.text, reason)))
    if several and _may_be_line_price(price, values, columns):
        return _ask_for_line_price(quantity, price)
    return Proposal(
        (
            Decision(_QUANTITY, quantity.text, "the name speaks for a quantity"),
            Decision(_PRICE, price.text, "the name speaks for a price; no column is quantity x price"),
        )
    )


def is_price_of_piece(
    column: ColumnEvidence, quantity: ColumnEvidence, columns: list[ColumnEvidence], decimal: str
) -> bool:
    """Return whether a column of money has the price of a single piece of the product, whatever the quantity.

    Args:
        column: Column of money, whose name may be that of a total.
        quantity: Column of quantities.
        columns: All columns.
        decimal: Decimal sign.

    Returns:
        True if most rows of several pieces have a price that a single piece has, and few have it per piece.
    """
    values = pd.DataFrame({"quantity": quantity.read_numbers(decimal), "price": column.read_numbers(decimal)}).abs()
    for item in (c for c in columns if c.name.is_product and not c.is_number and c is not column):
        of_piece, of_row = _compare_with_single_pieces(item, values)
        if of_piece > _MOST and of_piece > of_row + _CLEARLY:
            return True
    return False


def _compare_with_single_pieces(item: ColumnEvidence, values: pd.DataFrame) -> tuple[float, float]:
    """Return the shares of rows of several pieces whose price, or price per piece, a single piece has too."""
    frame = values.assign(item=item.codes, piece=(values["price"] / values["quantity"]).round(2)).dropna()
    singles = frame[frame["quantity"] == 1].groupby("item")["price"]
    single = {number: set(prices.round(2)) for number, prices in singles}
    rows = frame[(frame["quantity"] > 1) & frame["item"].isin(list(single))]
    if len(rows) < _MIN_SEVERAL:
        return 0.0, 0.0
    shown = [single[number] for number in rows["item"]]
    of_piece = np.mean([price in known for price, known in zip(rows["price"].round(2), shown, strict=True)])
    of_row = np.mean([piece in known for piece, known in zip(rows["piece"], shown, strict=True)])
    return float(of_piece), float(of_row)


def _may_be_line_price(price: ColumnEvidence, values: pd.DataFrame, columns: list[ColumnEvidence]) -> bool:
    """Return whether a price rises with the quantity, as that of a row does, and is not one per product."""
    items = [c for c in columns if c.name.is_product and not c.is_decimal and c is not price]
    if any(measure_determination(c, price) > _MOST for c in items):
        return False
    return bool(values["quantity"].rank().corr(values["price"].rank()) > _LINE_CORRELATION)


def _ask_for_line_price(quantity: ColumnEvidence, price: ColumnEvidence) -> Proposal:
    answers = (
        Answer(f"of the row: the amount is {price.text}", {_AMOUNT: price.text, _QUANTITY: quantity.text}),
        Answer(
            f"of one piece: the amount is {quantity.text} x {price.text}",
            {_QUANTITY: quantity.text, _PRICE: price.text},
        ),
    )
    text = f"{price.text} grows with {quantity.text}. Is it the price of the row, or of one piece?"
    return Proposal(questions=(Question(text, answers, KEYS),))


def drop_unusable_quantity(money: Proposal, columns: list[ColumnEvidence], decimal: str) -> Proposal:
    """Leave out a quantity beside an amount where the rows contradict it: an ingest would reject these rows.

    Args:
        money: Decisions and questions on the amount.
        columns: All columns.
        decimal: Decimal sign.

    Returns:
        The same without a quantity that is 0, missing or of another sign than the amount of a row.
    """
    numbers = {c.text: c for c in columns}

    def is_usable(keys: Mapping[str, Any]) -> bool:
        if "one_row_per" in keys and _AMOUNT in keys:
            return False
        if not isinstance(keys.get(_AMOUNT), str) or not isinstance(keys.get(_QUANTITY), str):
            return True
        amounts, quantities = (numbers[keys[key]].read_numbers(decimal) for key in (_AMOUNT, _QUANTITY))
        return bool((amounts * quantities > 0)[np.isfinite(amounts) & (amounts != 0)].all())

    def clean(keys: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in keys.items() if key != _QUANTITY or is_usable(keys)}

    decided = clean({decision.key: decision.value for decision in money.decisions})
    return replace(
        money,
        decisions=tuple(decision for decision in money.decisions if decision.key in decided),
        questions=tuple(
            replace(q, answers=tuple(replace(answer, keys=clean(answer.keys)) for answer in q.answers))
            for q in money.questions
        ),
    )
