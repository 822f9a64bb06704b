"""Questions about rows that may be no purchases: sign, currency, refunds, placeholder ids, repeated rows."""

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from holdfast.ingestion.parsing.currency_codes import find_currency
from holdfast.inspection.column_evidence import ColumnEvidence, measure_determination
from holdfast.inspection.customer_id_writing import find_id_form
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question
from holdfast.inspection.row_kind_rules import choose_kinds
from holdfast.inspection.words import PLACEHOLDERS

_MANY_ROWS = 50
_CENT = 0.0051
_LARGE_SHARE = 0.1
_CLEARLY_LARGEST = 5  # times the rows of the second id


def find_row_rules(
    rest: list[ColumnEvidence],
    columns: list[ColumnEvidence],
    customer: ColumnEvidence | None,
    amounts: np.ndarray | None,
    factors: tuple[str, ...],
    decimal: str,
) -> Proposal:
    """Find rows that may be no purchases, and ask about them.

    Args:
        rest: Columns without a role.
        columns: All columns.
        customer: Column of customer ids.
        amounts: Amount or quantity of each row with its sign, shape (rows,).
        factors: Columns of quantity and unit price; empty where a column holds the amount.
        decimal: Decimal sign.

    Returns:
        Questions, rules and notes.
    """
    proposal, is_refunded = Proposal(), np.zeros(rest[0].rows if rest else 0, dtype=bool)
    for column in (c for c in rest if c.is_number and c.name.is_refund and _has_values(c)):
        refund, rows = _choose_refund(column, amounts, decimal)
        proposal, is_refunded = proposal + refund, is_refunded | rows
    known: list[ColumnEvidence] = []
    for column in rest:
        if any(measure_determination(column, other) == 1 == measure_determination(other, column) for other in known):
            continue  # the same kinds under another name, such as state beside status
        kinds = choose_kinds(column, columns, customer, amounts, is_refunded)
        known += [column] if kinds.questions or kinds.decisions else []
        proposal += kinds
        proposal += _ask_about_currency(column)
        if column.name.is_discount and _has_values(column):
            proposal += _ask_about_discount(column, factors)
    if customer is not None:
        proposal += _find_placeholder(customer) + find_id_form(customer)
    if amounts is not None:
        proposal += _ask_about_sign(amounts[_find_read_rows(rest, proposal)] if rest else amounts)
    return proposal


def _find_read_rows(rest: list[ColumnEvidence], proposal: Proposal) -> np.ndarray:
    """Return True for the rows that the conditions of a proposal read, with the first answers to its questions."""
    decided = {d.key: d.value for d in proposal.assume_first_answers().decisions}
    rows = np.ones(rest[0].rows, dtype=bool)
    for column in rest:
        if values := decided.get(f"where.{column.text}"):
            rows &= column.column.text.to_pandas().isin(values).to_numpy()
    return rows


def _ask_about_discount(column: ColumnEvidence, factors: tuple[str, ...]) -> Proposal:
    """Ask whether a discount is off the price already; note it where a column holds the amount of the row."""
    if not factors:
        text = f"{column.text} is not subtracted from the amount. Where it is money: columns.amount: {{add: "
        return Proposal(notes=(f"{text}[...], subtract: [{column.text}]}}.",))
    values = column.column.text.drop_null()
    is_rate = pc.all(pc.match_substring_regex(values, r"%$|^0?[.,]\d+$|^0$")).as_py()
    key = {"discount_rate": column.text} if is_rate else {"subtract": [column.text]}
    product = " x ".join(factors)
    reduced = {"columns.amount": {"multiply": list(factors), **key}, "columns.quantity": factors[0]}
    question = Question(
        f"{column.text} has values. Is it taken off {product}?",
        (
            Answer(f"yes: the amount is {product} less {column.text}", reduced),
            Answer(
                "no: the price is that after the discount",
                {"columns.quantity": factors[0], "columns.unit_price": factors[1]},
            ),
        ),
        ("columns.amount", "columns.unit_price"),
    )
    return Proposal(questions=(question,))


def _choose_refund(column: ColumnEvidence, amounts: np.ndarray | None, decimal: str) -> tuple[Proposal, np.ndarray]:
    """Choose the column of refunds where none is above the amount, with the rows that it refunds as a whole."""
    refunds = np.abs(np.nan_to_num(column.read_numbers(decimal)))
    paid = np.zeros(len(refunds)) if amounts is None else np.nan_to_num(np.abs(amounts))
    if column.is_decimal and (refunds <= paid + _CENT).all():
        reason = f"{int((refunds > 0).sum()):,} rows have a refund, none above the amount"
        return Proposal((Decision("refund", column.text, reason),)), (refunds > 0) & (refunds >= paid - _CENT)
    question = Question(
        f"{column.text} has values. Is it money that a customer got back?",
        (
            Answer("yes: each value is a return beside the purchase", {"refund": column.text}),
            Answer("no: it is left out", {"refund": None}),
        ),
        ("refund",),
    )
    return Proposal(questions=(question,)), np.zeros(len(refunds), dtype=bool)


def _ask_about_currency(column: ColumnEvidence) -> Proposal:
    """Ask which currency to read where a column holds several currency codes."""
    if not 2 <= column.distinct <= 40:
        return Proposal()
    counts = column.column.text.to_pandas().value_counts()
    are_codes = all(len(str(v)) == 3 and str(v).isupper() and find_currency(str(v)) for v in counts.index)
    if not are_codes:
        return Proposal()
    shown = ", ".join(f"{value} ({count:,} rows)" for value, count in counts.head(5).items())
    answers = [
        Answer(f"only {code}", {"columns.currency": column.text, "currency": {"only": code}})
        for code in counts.index[:3]
    ]
    answers.append(Answer('convert: give currency.rates, such as --set \'currency={"rates": {"EUR": 1, "USD": 0.9}}\''))
    question = Question(f"{column.text} has {shown}. Which amounts are read?", tuple(answers), ("currency",))
    return Proposal(questions=(question,))


def _find_placeholder(customer: ColumnEvidence) -> Proposal:
    """Find an id with a large share of the rows that stands for no customer."""
    counts = np.bincount(customer.codes[customer.codes >= 0])
    if customer.rows < _MANY_ROWS or len(counts) < 3:
        return Proposal()
    first, second = np.sort(counts)[::-1][:2]
    if first < _LARGE_SHARE * customer.rows or first < _CLEARLY_LARGEST * second:
        return Proposal()
    row = int(np.flatnonzero(customer.codes == counts.argmax())[0])
    value = customer.column.text[row].as_py()
    share = f"{value!r} is the customer of {first / customer.rows:.0%} of the rows"
    if value.lower().split("@")[0] in PLACEHOLDERS or set(value) == {"0"}:
        return Proposal((Decision("ignore_customers", [value], f"{share}, a placeholder"),))
    question = Question(
        f"{share}. Is it one customer, or a placeholder for many?",
        (
            Answer("a placeholder: its rows are left out", {"ignore_customers": [value]}),
            Answer("one customer", {"ignore_customers": []}),
        ),
        ("ignore_customers",),
    )
    return Proposal(questions=(question,))


def _ask_about_sign(amounts: np.ndarray) -> Proposal:
    known = amounts[np.isfinite(amounts) & (amounts != 0)]
    if not len(known) or (known < 0).mean() <= 0.5:
        return Proposal()
    question = Question(
        f"{(known < 0).mean():.0%} of the amounts are below 0. Are these purchases?",
        (
            Answer("yes: amounts below 0 are purchases", {"amount_sign": "negated"}),
            Answer("no: amounts below 0 are returns", {"amount_sign": "unchanged"}),
        ),
        ("amount_sign",),
    )
    return Proposal(questions=(question,))


def find_repeated_rows(columns: list[ColumnEvidence]) -> Proposal:
    """Note rows that are equal in all columns.

    Args:
        columns: All columns.

    Returns:
        Note with the key to change, or nothing.
    """
    repeated = int(pd.DataFrame({i: c.codes for i, c in enumerate(columns)}).duplicated().sum())
    if not repeated:
        return Proposal()
    note = f"{repeated:,} of {columns[0].rows:,} rows equal an earlier row in every column: further purchases."
    return Proposal(notes=(f"{note} To leave them out: exact_duplicates: quarantine.",))


def _has_values(column: ColumnEvidence) -> bool:
    values = column.column.text.drop_null()
    return bool(len(values)) and not pc.all(pc.match_substring_regex(values, r"^[0.,]*$")).as_py()
