"""Relations between columns of money that leave one amount: sums, one rate of tax, a fee per row, paid or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from holdfast.inspection.column_evidence import ColumnEvidence

_ROWS = 5_000
_MIN_ROWS = 10
_NEARLY_ALL, _CENT = 0.98, 0.0151
_MOST_TERMS, _MOST_PARTS = 3, 8
_MOST_TAX = 1.35  # highest rate of a value added tax is 27%
_MOST_RATES = 4
_ROUNDING = 0.005
_Found = tuple[ColumnEvidence, str] | None


@dataclass(frozen=True)
class MoneyChoice:
    """Column of money that remains of several.

    Attributes:
        columns: Columns that no relation explains, one where the amount is decided.
        reasons: Relations by which the others were left out.
    """

    columns: tuple[ColumnEvidence, ...]
    reasons: tuple[str, ...]


def reduce_amounts(amounts: Sequence[ColumnEvidence], columns: Sequence[ColumnEvidence], decimal: str) -> MoneyChoice:
    """Leave out amounts that follow from another one, so that the money that the customer pays remains.

    Args:
        amounts: Columns that may be the amount.
        columns: All columns; the others may be taxes, discounts, fees or the price of the shipping.
        decimal: Decimal sign.

    Returns:
        Remaining columns in their order, with the reasons.
    """
    numeric = [c for c in columns if c.is_number and not c.is_written_time]
    values = {c.text: c.read_numbers(decimal)[:_ROWS] for c in {c.text: c for c in (*numeric, *amounts)}.values()}
    left, reasons = list(amounts), []
    parts = [c for c in numeric if c.is_decimal or c.name.amount_class == "none"]
    while len(left) > 1:
        pairs = [pair for one, other in combinations(left, 2) if (pair := _compare(one, other, values)) is not None]
        found = next((f for relate in _RELATIONS for pair in pairs if (f := relate(pair, parts, values))), None)
        if found is None:
            break
        dropped, reason = found
        left.remove(dropped)
        reasons.append(reason)
    return MoneyChoice(tuple(left), tuple(reasons))


@dataclass(frozen=True)
class _Pair:
    """Two amounts, and the rows that have both."""

    larger: ColumnEvidence
    smaller: ColumnEvidence
    rows: np.ndarray
    high: np.ndarray
    low: np.ndarray


def _compare(one: ColumnEvidence, other: ColumnEvidence, values: dict[str, np.ndarray]) -> _Pair | None:
    rows = np.isfinite(values[one.text]) & np.isfinite(values[other.text])
    if rows.sum() < min(_MIN_ROWS, len(rows)):
        return None
    larger, smaller = sorted((one, other), key=lambda c: -np.abs(values[c.text][rows]).sum())
    return _Pair(larger, smaller, rows, values[larger.text][rows], values[smaller.text][rows])


def _find_sum(pair: _Pair, parts: list[ColumnEvidence], values: dict[str, np.ndarray]) -> _Found:
    """Find the columns whose sum is the difference; the amount after discounts, and before fees, remains."""
    rest = pair.high - pair.low
    parts = [
        p for p in parts if p not in (pair.larger, pair.smaller) and np.nan_to_num(values[p.text][pair.rows]).any()
    ]
    named = [p for p in parts if p.name.is_discount or p.name.amount_class == "none" or p.name.is_fee]
    for size in range(1, _MOST_TERMS + 1):
        for chosen in combinations((parts if size == 1 else named)[:_MOST_PARTS], size):
            terms = np.nan_to_num(np.stack([values[p.text][pair.rows] for p in chosen]))
            for signs in product((1, -1), repeat=size):
                if np.mean(np.abs(rest - np.array(signs) @ terms) < _CENT * size) >= _NEARLY_ALL:
                    return _choose_side(pair, chosen, signs, terms)
    return None


def _find_rate(pair: _Pair, parts: list[ColumnEvidence], values: dict[str, np.ndarray]) -> _Found:
    """Find amounts with and without tax: their ratio is one of a few rates in all rows, within a cent."""
    large = np.abs(pair.low) >= 1
    if large.sum() < min(_MIN_ROWS, len(pair.low)):
        return None
    gross, net = pair.high[large], pair.low[large]
    ratios, counts = np.unique(np.round(gross / net, 2), return_counts=True)
    rates = ratios[np.argsort(-counts)][:_MOST_RATES]
    if ((rates > 1) & (rates < _MOST_TAX)).sum() < len(rates):  # rows without any difference have a discount instead
        rates = rates[:1]
    off = np.abs(gross[:, None] - net[:, None] * rates).min(axis=1)
    if not 1 < rates[0] < _MOST_TAX or (off <= np.maximum(_CENT, _ROUNDING * np.abs(net))).mean() < _NEARLY_ALL:
        return None
    return pair.smaller, f"{pair.larger.text} is {pair.smaller.text} with its tax"


def _find_fee(pair: _Pair, parts: list[ColumnEvidence], values: dict[str, np.ndarray]) -> _Found:
    """Find amounts that differ by one fee in all rows."""
    difference = np.abs(pair.high) - np.abs(pair.low)
    fee = float(np.median(difference))
    if fee <= 0 or np.mean(np.abs(difference - fee) < _CENT) < _NEARLY_ALL:
        return None
    return pair.smaller, f"{pair.larger.text} is {pair.smaller.text} and a fee of {fee:.2f}"


def _find_paid(pair: _Pair, parts: list[ColumnEvidence], values: dict[str, np.ndarray]) -> _Found:
    """Find the amount that was paid: the whole of the other one, or 0."""
    unpaid = (pair.low == 0) & (pair.high != 0)
    if not 0 < unpaid.mean() < 0.5 or np.abs(pair.high - pair.low)[~unpaid].max() >= _CENT:
        return None
    return pair.larger, f"{pair.smaller.text} is {pair.larger.text}, or 0 in {int(unpaid.sum()):,} rows"


_RELATIONS = (_find_sum, _find_rate, _find_fee, _find_paid)


def _choose_side(
    pair: _Pair, parts: tuple[ColumnEvidence, ...], signs: tuple[int, ...], terms: np.ndarray
) -> tuple[ColumnEvidence, str]:
    """Choose between two amounts, where larger = smaller + the signed parts."""
    written = " ".join(f"{'+' if sign > 0 else '-'} {part.text}" for part, sign in zip(parts, signs, strict=True))
    reason = f"{pair.larger.text} = {pair.smaller.text} {written}"
    for part, sign, values in zip(parts, signs, terms, strict=True):
        if part.name.is_discount:  # what the larger amount has more was taken off: the smaller one is paid
            return (pair.larger if (sign * values * np.sign(pair.high)).sum() > 0 else pair.smaller), reason
    return pair.smaller, reason
