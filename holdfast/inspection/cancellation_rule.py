"""Detection of cancellations: rows whose order number begins with a letter."""

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from holdfast.inspection.column_evidence import ColumnEvidence
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question

_PREFIX = r"^(?P<prefix>[A-Za-z]{1,3})[-_ ]?[0-9]{3,}$"
_PLAIN = r"^[0-9]{3,}$"
_MAX_SHARE = 0.4
_MIN_MATCHED = 0.9
_KNOWN_PREFIXES = ("C", "CN", "CR", "R", "RE", "RET", "ST", "GS", "G", "S", "K")


def find_cancellation(
    columns: list[ColumnEvidence],
    customer: ColumnEvidence | None,
    amounts: np.ndarray | None,
    prices: np.ndarray | None,
) -> Proposal:
    """Find the letter before the order numbers that marks cancellations.

    Args:
        columns: Evidence of the columns without a role.
        customer: Column of customers.
        amounts: Amount or quantity of each row with its sign, NaN where unknown, shape (rows,).
        prices: Unit price of each row; None where the amount is mapped.

    Returns:
        Rule, question, or nothing.
    """
    if amounts is None:
        return Proposal()
    for column in columns:
        if column.name.is_product or (column.name.is_other and not column.name.is_order):
            continue
        text = column.column.text
        plain = _matches(text, _PLAIN)
        prefixes = pc.struct_field(pc.extract_regex(text, _PREFIX), "prefix").to_pandas()
        if not plain.any() or not prefixes.notna().any() or (plain.sum() < (1 - _MAX_SHARE) * column.present):
            continue
        found = _decide(column, prefixes, plain, customer, amounts, prices)
        if found.decisions or found.questions:
            return found
    return Proposal()


def _decide(
    column: ColumnEvidence,
    prefixes: pd.Series,
    plain: np.ndarray,
    customer: ColumnEvidence | None,
    amounts: np.ndarray,
    prices: np.ndarray | None,
) -> Proposal:
    for prefix in prefixes.dropna().value_counts().index:
        rows = (prefixes == prefix).to_numpy()
        known = rows & np.isfinite(amounts) & (amounts != 0)
        if not known.any():
            continue
        value = {"column": column.text, "starts_with": str(prefix)}
        negative = float((amounts[known] < 0).mean())
        positive = float((amounts[plain & np.isfinite(amounts)] >= 0).mean())
        count = f"{column.text} begins with {prefix} in {int(rows.sum()):,} of {len(rows):,} rows"
        if negative >= _MIN_MATCHED and positive >= 0.5:
            return Proposal((Decision("cancellation", value, f"{count}, and {negative:.0%} of them are negative"),))
        matched = _share_of_reversals(rows, amounts if prices is None else prices, customer)
        if matched >= _MIN_MATCHED and str(prefix).upper() in _KNOWN_PREFIXES:
            reason = f"{count}, and {matched:.0%} of them repeat an earlier purchase of the same customer"
            return Proposal((Decision("cancellation", value, reason),))
        if str(prefix).upper() in _KNOWN_PREFIXES:
            question = Question(
                f"{count}, with amounts above 0. Are they cancellations?",
                (Answer("yes, returns", {"cancellation": value}), Answer("no, purchases", {"cancellation": None})),
                ("cancellation",),
            )
            return Proposal(questions=(question,))
    return Proposal()


def _share_of_reversals(rows: np.ndarray, amounts: np.ndarray, customer: ColumnEvidence | None) -> float:
    """Return the share of rows with the amount (or price) of another row of the same customer."""
    if customer is None:
        return 0.0
    frame = pd.DataFrame({"customer": customer.codes, "amount": np.abs(amounts).round(4)})
    others = set(map(tuple, frame[~rows].to_numpy()))
    return float(np.mean([tuple(row) in others for row in frame[rows].head(5000).to_numpy()]))


def _matches(text: object, pattern: str) -> np.ndarray:
    found = pc.fill_null(pc.match_substring_regex(text, pattern), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
