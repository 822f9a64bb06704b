"""Amounts of a bank statement: a column of credits and a column of debits."""

import numpy as np

from holdfast.inspection.column_evidence import ColumnEvidence
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question

_KEY, _SIGN = "columns.amount", "amount_sign"
_KEYS = (_KEY, "columns.unit_price", "columns.quantity", _SIGN)
_FEW = 0.02  # share of rows with both amounts, or with none


def find_debit_and_credit(numeric: list[ColumnEvidence], decimal: str) -> Proposal | None:
    """Find a column of credits and one of debits: by their names, where each row has one of both amounts.

    Args:
        numeric: Columns of numbers.
        decimal: Decimal sign.

    Returns:
        Sum of both, or the question which of them are purchases; None without such columns.
    """
    for credit in (c for c in numeric if c.name.is_credit and not c.name.is_debit):
        for debit in (c for c in numeric if c.name.is_debit and not c.name.is_credit):
            received, paid = (np.nan_to_num(c.read_numbers(decimal)) for c in (credit, debit))
            if ((received != 0) == (paid != 0)).mean() <= _FEW:
                return _add_columns(credit, debit, received, paid)
    return None


def _add_columns(credit: ColumnEvidence, debit: ColumnEvidence, received: np.ndarray, paid: np.ndarray) -> Proposal:
    is_signed = (paid < 0).sum() > (paid > 0).sum()
    balance = {"add": [credit.text, debit.text]} if is_signed else {"add": [credit.text], "subtract": [debit.text]}
    reversed_balance = balance if is_signed else {"add": [debit.text], "subtract": [credit.text]}
    count = f"{int((received != 0).sum()):,} rows have {credit.text}, {int((paid != 0).sum()):,} have {debit.text}"
    if (received != 0).sum() > (paid != 0).sum():
        return Proposal((Decision(_KEY, balance, f"each row has one of both: {count}"),))
    bought = {_KEY: reversed_balance, _SIGN: "negated" if is_signed else "unchanged"}
    answers = (
        Answer(f"{debit.text}: money that the customer pays", bought),
        Answer(f"{credit.text}: money that the shop receives", {_KEY: balance, _SIGN: "unchanged"}),
    )
    return Proposal(questions=(Question(f"{count}. Which of them are purchases?", answers, _KEYS),))
