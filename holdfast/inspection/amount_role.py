"""Choice of the columns with the money of a transaction: an amount, or quantity and unit price."""

from itertools import permutations

import numpy as np
import pandas as pd

from holdfast.inspection.column_evidence import ColumnEvidence, measure_determination
from holdfast.inspection.debit_credit import find_debit_and_credit
from holdfast.inspection.money_relations import reduce_amounts
from holdfast.inspection.price_and_quantity import KEYS, is_price_of_piece, multiply_price
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question

_AMOUNT, _QUANTITY, _PRICE = KEYS
_MAX_COMPARED = 12
_SUBTOTALS = ("subtotal", "小計", "小计", "소계")
_CENT, _NEARLY_ALL = 0.011, 0.98
_COMPARED_ROWS = 20_000
_MIN_REPEATED_ORDERS = 5
_LARGE_COUNT = 1000  # median above which unnamed whole numbers are ids, no quantities


def choose_amount(columns: list[ColumnEvidence], decimal: str) -> Proposal:
    """Choose the columns of money: by the relation quantity x price = total where it holds, then by names and types.

    Args:
        columns: Evidence of the columns that are not the time.
        decimal: Decimal sign.

    Returns:
        Its part of the proposal.
    """
    numeric = [c for c in columns if c.is_number and not c.is_written_time]
    statement = find_debit_and_credit(numeric, decimal)
    if statement is not None:
        return statement
    numeric = [c for c in numeric if c.name.amount_class != "none" and c.name.customer_support < 1]
    by_class = {
        kind: [c for c in numeric if c.name.amount_class == kind] for kind in ("total", "price", "quantity", "")
    }
    totals, prices, quantities, unknown = by_class.values()
    of_pieces = [c for c in totals if len(quantities) == 1 and is_price_of_piece(c, quantities[0], columns, decimal)]
    if of_pieces:
        totals, prices = [c for c in totals if c not in of_pieces], [*prices, *of_pieces]
    relation = _find_product(numeric[:_MAX_COMPARED], decimal)
    if relation is not None:
        return _from_relation(relation, totals, columns, decimal)
    if totals:
        return _from_totals(totals, prices, quantities, columns, decimal)
    if prices and quantities:
        return multiply_price(prices, quantities, columns, decimal)
    return _from_rest(prices, quantities, unknown, columns, decimal)


def _find_product(
    numeric: list[ColumnEvidence], decimal: str
) -> tuple[ColumnEvidence, ColumnEvidence, ColumnEvidence] | None:
    """Find quantity, price and total with quantity x price = total; the quantity has the fewest decimals."""
    values = {c.text: c.read_numbers(decimal)[:_COMPARED_ROWS] for c in numeric}
    for total in sorted(numeric, key=lambda c: c.name.amount_class != "total"):
        for quantity, price in permutations([c for c in numeric if c is not total], 2):
            if quantity.name.amount_class in ("price", "total") or price.name.amount_class == "quantity":
                continue
            if not quantity.is_integer and quantity.name.amount_class != "quantity":
                continue
            q, p, t = values[quantity.text], values[price.text], values[total.text]
            usable = np.isfinite(q) & np.isfinite(p) & np.isfinite(t) & (p != 0)
            several = usable & (np.abs(q) != 1)
            if several.sum() < 3 or usable.sum() < 0.5 * len(q):
                continue
            equal = np.abs(np.abs(q * p) - np.abs(t)) <= 0.011 * np.maximum(1, np.abs(q)) * 0.51
            if equal[usable].mean() >= 0.98 and equal[several].mean() >= 0.95:
                return quantity, price, total
    return None


def _from_relation(
    relation: tuple[ColumnEvidence, ColumnEvidence, ColumnEvidence],
    totals: list[ColumnEvidence],
    columns: list[ColumnEvidence],
    decimal: str,
) -> Proposal:
    quantity, price, total = relation
    reason = f"{quantity.text} x {price.text} = {total.text} in at least 98% of the rows"
    proposal = Proposal((Decision(_AMOUNT, total.text, reason), Decision(_QUANTITY, quantity.text, reason)))
    others = [c for c in totals if c not in relation and not _find_order(c, columns)]
    others = [c for c in others if not _equal_numbers(c, total, decimal)]
    left = reduce_amounts([total, *others], columns, decimal)
    if len(left.columns) > 1:
        return _ask_for_total(list(left.columns), quantity, columns)
    if left.columns[0] is total:
        return proposal
    reason = "; ".join(left.reasons)
    return Proposal((Decision(_AMOUNT, left.columns[0].text, reason), Decision(_QUANTITY, quantity.text, reason)))


def _from_totals(
    totals: list[ColumnEvidence],
    prices: list[ColumnEvidence],
    quantities: list[ColumnEvidence],
    columns: list[ColumnEvidence],
    decimal: str,
) -> Proposal:
    totals = [c for c in totals if np.nan_to_num(c.read_numbers(decimal)).any()] or totals
    of_lines = [c for c in totals if not _find_order(c, columns)]
    if not of_lines:
        if len(prices) == 1 and len(quantities) == 1 and not _find_order(prices[0], columns):
            if proven := _find_total_of_lines(totals, quantities[0], prices[0], columns, decimal):
                return proven
            note = f"{totals[0].text} repeats on every row of an order and is left out: it would count several times."
            return multiply_price(prices, quantities, columns, decimal) + Proposal(notes=(note,))
        return _ask_about_order_total(totals[0], columns)
    of_lines = [c for c in of_lines if not any(word in c.name.letters for word in _SUBTOTALS)] or of_lines
    fullest = sorted(of_lines, key=lambda c: -c.present)
    distinct = [c for i, c in enumerate(fullest) if not any(_equal_numbers(c, d, decimal) for d in fullest[:i])]
    distinct = [c for c in of_lines if c in distinct]
    quantity = quantities[0] if len(quantities) == 1 else None
    if len(distinct) == 1 and (order := _find_order_with_one_amount(distinct[0], columns)):
        reason = f"each {order} has {distinct[0].text} on one of its rows"
        return Proposal((Decision(_AMOUNT, distinct[0].text, reason), Decision("one_row_per", order, reason)))
    left = reduce_amounts(distinct, columns, decimal)
    if len(left.columns) > 1:
        return _ask_for_total(list(left.columns), quantity, columns)
    total, reason = left.columns[0], "; ".join(left.reasons) or "the name speaks for a total"
    decisions = [Decision(_AMOUNT, total.text, reason)]
    if quantity is not None:
        decisions.append(Decision(_QUANTITY, quantity.text, "the name speaks for a quantity"))
    return Proposal(tuple(decisions))


def _from_rest(
    prices: list[ColumnEvidence],
    quantities: list[ColumnEvidence],
    unknown: list[ColumnEvidence],
    columns: list[ColumnEvidence],
    decimal: str,
) -> Proposal:
    """Choose where no name speaks for a total, and none or one of price and quantity is known."""
    decimals = [c for c in unknown if not c.is_integer]
    candidates = prices or decimals or [c for c in unknown if not c.is_unique or c.rows < 50] or unknown
    candidates = list(reduce_amounts(candidates, columns, decimal).columns)
    candidates = sorted(candidates, key=lambda c: not c.name.is_in_currency)
    counts = [c for c in unknown if c.is_integer and c not in candidates and not c.is_unique and not c.is_constant]
    counts = [c for c in counts if np.nanmedian(c.read_numbers(decimal)) < _LARGE_COUNT]
    named = [c for c in columns if c.is_decimal and c.name.amount_class == "none" and not c.is_written_time]
    if not prices and not decimals and named:  # a name against money, but the values are that of money: a fee
        candidates = [*(c for c in named if not c.is_constant), *candidates]
    if len(candidates) == 1 and not counts and not (quantities and not prices):
        if _find_order(candidates[0], columns):
            return _ask_about_order_total(candidates[0], columns)
        return Proposal((Decision(_AMOUNT, candidates[0].text, "the only column that can be money"),))
    answers = [Answer(f"the amount is {c.text}", {_AMOUNT: c.text}) for c in candidates]
    for count in (*quantities, *counts):
        answers += [
            Answer(f"the amount is {count.text} x {c.text}", {_QUANTITY: count.text, _PRICE: c.text})
            for c in candidates
        ]
    if not answers:
        numeric = [c for c in columns if c.is_number and not c.is_written_time and c.name.customer_support < 1]
        numeric = [c for c in numeric if not c.name.is_order and not c.is_constant]
        answers = [Answer(f"the amount is {c.text}", {_AMOUNT: c.text}) for c in numeric[:5]]
        answers.append(Answer("none: each row counts 1", {_AMOUNT: {"constant": 1}}))
    return Proposal(questions=(Question("Which column is the amount of money of a row?", tuple(answers[:6]), KEYS),))


def _find_order(column: ColumnEvidence, columns: list[ColumnEvidence]) -> str:
    """Return the order column whose orders have one value of a column on all their rows; "" without one."""
    for order in columns:
        if order is column or not order.name.is_order or order.is_unique or order.distinct < 2:
            continue
        repeated = np.bincount(order.codes[order.codes >= 0])
        several = (repeated > 1).sum() >= _MIN_REPEATED_ORDERS and column.distinct > 2
        if several and measure_determination(order, column) > 0.98:
            return order.text
    return ""


def _find_total_of_lines(
    totals: list[ColumnEvidence],
    quantity: ColumnEvidence,
    price: ColumnEvidence,
    columns: list[ColumnEvidence],
    decimal: str,
) -> Proposal | None:
    """Find the total of an order where one total is the sum of its lines, and a discount of the order follows."""
    order = next(c for c in columns if c.text == _find_order(totals[0], columns))
    discounts = [c for c in columns if c.is_number and c.name.is_discount and _find_order(c, [order])]
    if not discounts:
        return None
    lines = pd.DataFrame({"order": order.codes, "sum": quantity.read_numbers(decimal) * price.read_numbers(decimal)})
    sums = lines.groupby("order")["sum"].transform("sum").to_numpy()
    equal = [c for c in totals if np.mean(np.abs(c.read_numbers(decimal) - sums) < _CENT) > _NEARLY_ALL]
    left = reduce_amounts(totals, columns, decimal)
    if not equal or len(left.columns) > 1:
        return None
    reason = f"{equal[0].text} is the sum of {quantity.text} x {price.text}; {'; '.join(left.reasons)}"
    total = left.columns[0].text
    return Proposal((Decision(_AMOUNT, total, reason), Decision("one_row_per", order.text, f"{total} repeats per row")))


def _find_order_with_one_amount(total: ColumnEvidence, columns: list[ColumnEvidence]) -> str:
    """Return the column of orders that have an amount on one of several rows; "" without one."""
    has_amount = total.codes >= 0
    if has_amount.all() or not has_amount.any():
        return ""
    for order in sorted(columns, key=lambda c: not c.name.is_order):
        if order is total or order.present < order.rows or order.distinct < 2 or order.is_time:
            continue
        amounts, rows = np.bincount(order.codes, weights=has_amount), np.bincount(order.codes)
        if (amounts == 1).mean() > 0.98 and (rows > 1).any():
            return order.text
    return ""


def _equal_numbers(one: ColumnEvidence, other: ColumnEvidence, decimal: str) -> bool:
    """Return whether a column has the numbers of another one, wherever it has any."""
    numbers, others = one.read_numbers(decimal), other.read_numbers(decimal)
    known = np.isfinite(numbers)
    return bool(known.any() and np.allclose(numbers[known], others[known]))


def _ask_for_total(
    totals: list[ColumnEvidence], quantity: ColumnEvidence | None, columns: list[ColumnEvidence]
) -> Proposal:
    answers = tuple(_answer_with_total(c, quantity, columns) for c in totals)
    names = " and ".join(repr(c.text) for c in totals)
    return Proposal(questions=(Question(f"{names} differ. Which is the amount of a row?", answers, (_AMOUNT, _PRICE)),))


def _answer_with_total(total: ColumnEvidence, quantity: ColumnEvidence | None, columns: list[ColumnEvidence]) -> Answer:
    if order := _find_order_with_one_amount(total, columns):
        return Answer(f"the column {total.text!r}, once per {order}", {_AMOUNT: total.text, "one_row_per": order})
    extra = {_QUANTITY: quantity.text} if quantity else {}
    return Answer(f"the column {total.text!r}", {_AMOUNT: total.text, **extra})


def _ask_about_order_total(total: ColumnEvidence, columns: list[ColumnEvidence]) -> Proposal:
    order = _find_order(total, columns)
    question = Question(
        f"{total.text} is the same on all rows of one {order}. Is it the total of the order, or of each row?",
        (
            Answer("of the order: it counts once", {_AMOUNT: total.text, "one_row_per": order}),
            Answer("of each row", {_AMOUNT: total.text}),
        ),
        (_AMOUNT, _PRICE),
    )
    return Proposal(questions=(question,))
