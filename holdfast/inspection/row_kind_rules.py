"""Rules and questions for columns whose values are kinds of rows: status, flag of cancellation, direction of money."""

from collections.abc import Callable
from typing import Any

import numpy as np

from holdfast.inspection import words as w
from holdfast.inspection.column_evidence import ColumnEvidence, measure_determination
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question
from holdfast.inspection.row_kinds import RowKinds, classify_values, find_flag, find_last_stage

_FEW = 0.02
_MOST = 0.5
_SHOWN = 3


def choose_kinds(
    column: ColumnEvidence,
    columns: list[ColumnEvidence],
    customer: ColumnEvidence | None,
    amounts: np.ndarray | None,
    is_refunded: np.ndarray,
) -> Proposal:
    """Choose the kinds of rows that are purchases, where a column has kinds that may be none.

    Args:
        column: Column without a role.
        columns: All columns.
        customer: Column of customer ids.
        amounts: Amount or quantity of each row with its sign, shape (rows,); None where undecided.
        is_refunded: True for purchases whose refund another column has, shape (rows,).

    Returns:
        Condition, question, or nothing where each row is a purchase, or returns show by their sign.
    """
    kinds = classify_values(column)
    if kinds is not None and customer is not None:
        kinds = kinds.accept_without_customer(customer.codes < 0)
    if kinds is not None:
        kinds = kinds.accept_refunded(is_refunded)
    if kinds is None or kinds.have_their_sign(amounts):
        return Proposal()
    if kinds.are_received_money(amounts):
        return Proposal()
    if flagged := find_flag(column):
        return _choose_flag(column, flagged, amounts)
    last_stage = find_last_stage(kinds, columns, amounts)
    if not (kinds.may_hold_others or last_stage) or _is_of_customers(kinds, customer):
        return Proposal()
    has_customer = np.ones(column.rows, dtype=bool) if customer is None else customer.codes >= 0
    if kinds.are_certain and not kinds.may_undo_purchases(amounts, has_customer):
        left_out = ", ".join(f"{value} ({kinds.counts[value]:,} rows)" for value in kinds.of_kind("none"))
        return Proposal((Decision(*_write_condition(column, "where", kinds.of_kind("sale")), f"not {left_out}"),))
    if column.name.is_kind and kinds.have_certain_returns and not last_stage:
        returns, sales = kinds.of_kind("return"), kinds.of_kind("sale", "return")
        proposal = Proposal((Decision("cancellation", {"column": column.text, "is": returns}, kinds.listed),))
        if kinds.of_kind("none"):
            proposal += Proposal((Decision(*_write_condition(column, "where", sales), kinds.listed),))
        return proposal
    return _ask(kinds, last_stage)


def _is_of_customers(kinds: RowKinds, customer: ColumnEvidence | None) -> bool:
    """Return whether a column of unknown words is an attribute of customers: each has one value on all rows."""
    if customer is None or set(kinds.kinds.values()) != {""}:
        return False
    return measure_determination(customer, kinds.column) > 1 - _FEW


def _are_returns(rows: np.ndarray, amounts: np.ndarray | None) -> bool:
    """Return whether most rows have amounts below zero, so that they may undo a purchase."""
    return amounts is not None and bool(rows.any()) and bool((amounts[rows] < 0).mean() > _MOST)


def _ask(kinds: RowKinds, last_stage: str) -> Proposal:
    key, _ = _write_condition(kinds.column, "where", [])
    text = f"{kinds.column.text} is {kinds.listed}. Which rows are purchases?"
    return Proposal(questions=(Question(text, _list_answers(kinds, last_stage), ("where", key)),))


def _list_answers(kinds: RowKinds, last_stage: str) -> tuple[Answer, ...]:
    write = _condition_writer(kinds.column)
    known, sales, returns = kinds.of_kind("sale"), kinds.of_kind("sale", ""), kinds.of_kind("return")
    if sum(kinds.counts[value] for value in kinds.of_kind("")) > sum(kinds.counts.values()) / 2:
        known = sales  # most rows have an unknown word: it is hardly no purchase
    if last_stage:  # one payment has a row per stage: only the last one of each counts
        known, sales = [last_stage], [last_stage]
    parts = [part for part in ([known] if known != sales else []) + [sales] if part and len(part) < len(kinds.counts)]
    if not parts and not returns:  # no known word
        parts = [[value] for value in list(kinds.counts)[:_SHOWN]]
    answers = [Answer(f"only {', '.join(part)}", write(part)) for part in parts]
    if returns and sales:
        rule = {"column": kinds.column.text, "is": returns}
        keys = {**write([*sales, *returns]), "cancellation": rule}
        both = Answer(f"{', '.join(sales)}, and {', '.join(returns)} as returns", keys)
        answers.insert(len(answers) if kinds.column.name.is_status else 0, both)
    return (*answers, _all_rows(kinds.column))


def _choose_flag(column: ColumnEvidence, flagged: str, amounts: np.ndarray | None) -> Proposal:
    rows = column.column.text.to_pandas().eq(flagged).to_numpy()
    count = f"{column.text} is {flagged} in {int(rows.sum()):,} rows"
    key, condition = _write_condition(column, "where_not", [flagged])
    if column.name.has(w.FLAGS_LEFT_OUT) and not column.name.is_return and not _are_returns(rows, amounts):
        return Proposal((Decision(key, condition, f"{count}, which are no purchases"),))
    question = Question(
        f"{count}. Are they purchases?",
        (
            Answer("no: these rows are left out", {key: condition}),
            Answer("they are returns", {"cancellation": {"column": column.text, "is": [flagged]}}),
            Answer("yes", {key: None if key != "where_not" else {}}),
        ),
        ("where_not", key, "cancellation"),
    )
    return Proposal(questions=(question,))


def _all_rows(column: ColumnEvidence) -> Answer:
    key, _ = _write_condition(column, "where", [])
    return Answer("all rows are purchases", {key: {} if key == "where" else None})


def _condition_writer(column: ColumnEvidence) -> Callable[[list[str]], dict[str, Any]]:
    return lambda values: dict([_write_condition(column, "where", values)])


def _write_condition(column: ColumnEvidence, rule: str, values: list[str]) -> tuple[str, Any]:
    """Return the key of the condition on one column, so that two columns can have one each, and its value."""
    if "." in column.text or "=" in column.text:
        return rule, {column.text: values}
    return f"{rule}.{column.text}", values
