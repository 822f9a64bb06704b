"""Questions about rows that may be no purchases: sign, currency, refunds, placeholder ids, repeated rows."""

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from holdfast.ingestion.parsing.currency_codes import find_currency
from holdfast.inspection.column_evidence import ColumnEvidence
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question
from holdfast.inspection.row_kind_rules import choose_kinds
from holdfast.inspection.words import PLACEHOLDERS

_MANY_ROWS = 50
_LARGE_SHARE = 0.1
_CLEARLY_LARGEST = 5  # times the rows of the second id


def find_row_rules(
    rest: list[ColumnEvidence], customer: ColumnEvidence | None, amounts: np.ndarray | None, factors: tuple[str, ...]
) -> Proposal:
    """Find rows that may be no purchases, and ask about them.

    Args:
        rest: Columns without a role.
        customer: Column of customer ids.
        amounts: Amount or quantity of each row with its sign, shape (rows,).
        factors: Columns of quantity and unit price; empty where a column holds the amount.

    Returns:
        Questions, rules and notes.
    """
    proposal = Proposal()
    for column in rest:
        proposal += choose_kinds(column, customer, amounts)
        proposal += _ask_about_currency(column)
        proposal += _ask_about_refund(column)
        if column.name.has(["discount", "rabatt", "remise", "descuento"]) and _has_values(column):
            proposal += _ask_about_discount(column, factors)
    if customer is not None:
        proposal += _find_placeholder(customer) + _find_emails_by_case(customer)
    if amounts is not None:
        proposal += _ask_about_sign(amounts)
    return proposal


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


def _ask_about_refund(column: ColumnEvidence) -> Proposal:
    if not (column.is_number and column.name.has(["refund", "erstattet", "rembours"]) and _has_values(column)):
        return Proposal()
    question = Question(
        f"{column.text} has values. Is it money that a customer got back?",
        (
            Answer("yes: each value is a return beside the purchase", {"refund": column.text}),
            Answer("no: it is left out", {"refund": None}),
        ),
        ("refund",),
    )
    return Proposal(questions=(question,))


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
    if value.lower().split("@")[0] in PLACEHOLDERS:
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


def _find_emails_by_case(customer: ColumnEvidence) -> Proposal:
    """Read email addresses that differ in case as one customer."""
    ids = pc.unique(customer.column.text.drop_null())
    if not len(ids) or not pc.all(pc.match_substring(ids, "@")).as_py():
        return Proposal()
    repeated = len(ids) - len(pc.unique(pc.utf8_lower(ids)))
    if not repeated:
        return Proposal()
    reason = f"{repeated:,} email addresses differ from another one in case only"
    return Proposal((Decision("customer_id_form", {"case": "lower"}, reason),))


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
