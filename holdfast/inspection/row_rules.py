"""Questions about rows that may be no purchases: status, sign, currency, placeholder ids, repeated rows."""

import re

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from holdfast.ingestion.parsing.currency_codes import find_currency
from holdfast.inspection.column_evidence import ColumnEvidence
from holdfast.inspection.column_names import split_words
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question

_SALES = split_words(
    "paid complete completed fulfilled shipped delivered closed succeeded success successful captured settled done ok "
    "invoiced posted cleared confirmed approved sale charge payment purchase order processing partially_refunded "
    "partially_paid bezahlt abgeschlossen versendet geliefert checked_out purchased invoice order transaction pagado "
    "completado payé livré"
)
_RETURNS = split_words(
    "credit_note creditnote credit_memo avoir retoure rucksendung devolution reembolsado rembourse "
    "refund refunded return returned chargeback credit reversal reversed storno erstattet"
)
_NO_SALES = split_words(
    "cancelled canceled void voided failed declined rejected pending unpaid open draft expired abandoned storniert "
    "cancelado annulé checked_in no_show overdue due payment_due view cart click add_to_cart remove_from_cart visit "
    "session login search wishlist impression test created unavailable on_hold authorized"
)
_PLACEHOLDERS = split_words(
    "guest unknown anonymous none na n/a null 0 -1 00000 999999 99999 walk-in walkin cash test default gast unbekannt "
    "invitado invité noreply undefined"
)
_MAX_STATUSES = 15
_MIN_KNOWN = 0.8  # share of rows with a known word, in a column that is not named a status
_MANY_ROWS = 50
_SIGNED_SHARE = 0.98
_LARGE_SHARE = 0.1
_CLEARLY_LARGEST = 5  # times the rows of the second id


def find_row_rules(rest: list[ColumnEvidence], customer: ColumnEvidence | None, amounts: np.ndarray | None) -> Proposal:
    """Find rows that may be no purchases, and ask about them.

    Args:
        rest: Columns without a role.
        customer: Column of customer ids.
        amounts: Amount or quantity of each row with its sign, shape (rows,).

    Returns:
        Questions, rules and notes.
    """
    proposal = Proposal()
    for column in rest:
        proposal += _ask_about_status(column, amounts)
        proposal += _ask_about_currency(column)
        proposal += _ask_about_refund(column)
        if column.name.has(["discount", "rabatt", "remise", "descuento"]) and _has_values(column):
            text = f"{column.text} is not subtracted from the amount. Where it is money: columns.amount: {{add: "
            proposal += Proposal(notes=(f"{text}[...], subtract: [{column.text}]}}.",))
    if customer is not None:
        proposal += _find_placeholder(customer)
    if amounts is not None:
        proposal += _ask_about_sign(amounts)
    return proposal


def _ask_about_status(column: ColumnEvidence, amounts: np.ndarray | None) -> Proposal:
    if not 2 <= column.distinct <= _MAX_STATUSES:
        return Proposal()
    counts = column.column.text.to_pandas().value_counts()
    kinds = {value: _classify(str(value)) for value in counts.index}
    known = sum(counts[value] for value, kind in kinds.items() if kind) / counts.sum()
    if set(kinds.values()) <= {"sale", ""} or (not column.name.is_status and known < _MIN_KNOWN):
        return Proposal()
    if amounts is not None and _have_their_sign(column, kinds, amounts):
        return Proposal()
    sales = [value for value, kind in kinds.items() if kind in ("sale", "")]
    returns = [value for value, kind in kinds.items() if kind == "return"]
    shown = ", ".join(f"{value} ({count:,})" for value, count in counts.items())
    answers = []
    if sales:
        answers.append(Answer(f"only {', '.join(sales)}", {"where": {column.text: sales}}))
    if returns and sales:
        keys = {
            "where": {column.text: [*sales, *returns]},
            "cancellation": {"column": column.text, "is": returns},
        }
        both = Answer(f"{', '.join(sales)}, and {', '.join(returns)} as returns", keys)
        answers.insert(len(answers) if column.name.is_status else 0, both)
    answers.append(Answer("all rows are purchases", {"where": {}}))
    question = Question(f"{column.text} is {shown}. Which rows are purchases?", tuple(answers), ("where",))
    return Proposal(questions=(question,))


def _classify(value: str) -> str:
    """Classify a status by its whole text, else by its words, of which a return counts most."""
    words = re.findall(r"[^\W_]+", value.lower())
    kinds = (("return", _RETURNS), ("none", _NO_SALES), ("sale", _SALES))
    for found in (["_".join(words)], words):
        for kind, known in kinds:
            if any(word in known for word in found):
                return kind
    return ""


def _have_their_sign(column: ColumnEvidence, kinds: dict[str, str], amounts: np.ndarray) -> bool:
    """Return whether all rows are sales or returns, and the amounts of returns, and of no others, are below zero."""
    if not set(kinds.values()) <= {"sale", "return"}:
        return False
    is_return = column.column.text.to_pandas().map(kinds).eq("return").to_numpy()
    known = np.isfinite(amounts) & (amounts != 0)
    return bool(known.any() and ((amounts < 0) == is_return)[known].mean() > _SIGNED_SHARE)


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
    if value.lower().split("@")[0] in _PLACEHOLDERS:
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
