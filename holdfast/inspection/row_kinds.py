"""Classification of the values of a column as sales, returns and rows that are neither."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from holdfast.inspection import words as w
from holdfast.inspection.column_evidence import ColumnEvidence

_MAX_KINDS = 15
_MIN_KNOWN = 0.8  # share of rows with a known word, in a column with another name
_SIGNED_SHARE = 0.98
_MOST_ORDERS = _MOST = 0.5


@dataclass(frozen=True)
class RowKinds:
    """Values of a column with the kind of row that each one stands for.

    Attributes:
        column: Column.
        counts: Rows of each value, most frequent first.
        kinds: Kind of each value: ``sale``, ``return``, ``none`` (no sale), or "" (unknown).
        is_direction: Whether the values are the two directions of money.
        certain: Values whose kind has one reading.
        settling: Payments beside invoices; their amounts may be below zero.
    """

    column: ColumnEvidence
    counts: dict[str, int]
    kinds: dict[str, str]
    is_direction: bool
    certain: frozenset[str]
    settling: frozenset[str] = frozenset()

    @property
    def listed(self) -> str:
        """Return the values with their numbers of rows."""
        return ", ".join(f"{value} ({count:,})" for value, count in self.counts.items())

    def of_kind(self, *kinds: str) -> list[str]:
        """List the values of some kinds.

        Args:
            kinds: Kinds.

        Returns:
            Values, most frequent first.
        """
        return [value for value in self.counts if self.kinds[value] in kinds]

    def find_rows(self, *kinds: str) -> np.ndarray:
        """Find the rows of some kinds.

        Args:
            kinds: Kinds.

        Returns:
            True for the rows of these kinds, shape (rows,).
        """
        return self.column.column.text.to_pandas().isin(self.of_kind(*kinds)).to_numpy()

    def may_undo_purchases(self, amounts: np.ndarray | None, has_customer: np.ndarray) -> bool:
        """Return whether the rows that are no sales are mostly below zero, so that they may undo a purchase.

        Args:
            amounts: Amount of each row with its sign, shape (rows,); None where undecided.
            has_customer: True for rows with a customer, shape (rows,).

        Returns:
            True for amounts below zero, except those of payments beside invoices.
        """
        values = [value for value in self.of_kind("none") if value not in self.settling]
        rows = self.column.column.text.to_pandas().isin(values).to_numpy() & has_customer
        return amounts is not None and bool(rows.any()) and bool((amounts[rows] < 0).mean() > _MOST)

    def accept_without_customer(self, is_missing: np.ndarray) -> "RowKinds":
        """Accept values that are probably no sales where none of their rows has a customer.

        Args:
            is_missing: True for rows without a customer, shape (rows,).

        Returns:
            Kinds with more certain values.
        """
        texts = self.column.column.text.to_pandas()
        accepted = {value for value in self.of_kind("none") if is_missing[texts.eq(value).to_numpy()].all()}
        return replace(self, certain=self.certain | accepted)

    def accept_refunded(self, is_refunded: np.ndarray) -> "RowKinds":
        """Accept values as sales where another column has the refund of each of their rows.

        Args:
            is_refunded: True for rows with a refund of the whole amount, shape (rows,).

        Returns:
            Kinds with more certain sales.
        """
        texts = self.column.column.text.to_pandas()
        accepted = [value for value in self.counts if is_refunded[texts.eq(value).to_numpy()].all()]
        kinds = {**self.kinds, **dict.fromkeys(accepted, "sale")}
        return replace(self, kinds=kinds, certain=self.certain | set(accepted))

    @property
    def may_hold_others(self) -> bool:
        """Return whether some values may be no sales: by clear words, else by words in a column of kinds."""
        if len(self.counts) < 2:
            return False
        found, name = set(self.kinds.values()), self.column.name
        if self.is_direction or any(_has_stem(value) and kind != "sale" for value, kind in self.kinds.items()):
            return True
        known = sum(self.counts[value] for value, kind in self.kinds.items() if kind) / sum(self.counts.values())
        if name.is_status and not name.is_region_or_status:
            return found != {"sale"}
        if name.is_status or (name.is_kind and known >= _MIN_KNOWN):
            return bool(found & {"none", "return"}) or {"sale", ""} <= found
        if name.is_kind:
            return any(_join_words(value) in (*w.RETURNS, *w.NO_SALES) for value in self.counts)
        return known >= _MIN_KNOWN and not found <= {"sale", ""}

    @property
    def are_certain(self) -> bool:
        """Return whether each value is a sale or no sale for certain, and both occur."""
        return set(self.kinds.values()) == {"sale", "none"} and set(self.counts) <= self.certain

    @property
    def have_certain_returns(self) -> bool:
        """Return whether each value has one reading, and sales and returns occur."""
        found = set(self.kinds.values())
        return {"sale", "return"} <= found and "" not in found and set(self.counts) <= self.certain

    def are_received_money(self, amounts: np.ndarray | None) -> bool:
        """Return whether the returns are above zero and all other rows below: credits of a bank statement.

        Args:
            amounts: Amount of each row with its sign, shape (rows,); None where undecided.

        Returns:
            True where the sign shows the direction of the money.
        """
        if amounts is None or not self.of_kind("return") or self.is_direction:
            return False
        known = np.isfinite(amounts) & (amounts != 0)
        return bool(((amounts > 0) == self.find_rows("return"))[known].mean() > _SIGNED_SHARE)

    def have_their_sign(self, amounts: np.ndarray | None) -> bool:
        """Return whether all rows are sales or returns, and amounts below zero are those of the returns.

        Args:
            amounts: Amount or quantity of each row with its sign, shape (rows,); None where undecided.

        Returns:
            True where the sign shows what the column shows.
        """
        if amounts is None or set(self.kinds.values()) != {"sale", "return"}:
            return False
        known = np.isfinite(amounts) & (amounts != 0)
        return bool(known.any() and ((amounts < 0) == self.find_rows("return"))[known].mean() > _SIGNED_SHARE)


def classify_values(column: ColumnEvidence) -> RowKinds | None:
    """Classify the values of a column.

    Args:
        column: Column without a role.

    Returns:
        Kinds; None for a column of many values, or one of means of payment.
    """
    if not 1 <= column.distinct <= _MAX_KINDS or column.name.is_means_of_payment:
        return None
    found = pc.value_counts(column.column.text.drop_null()).to_pylist()
    counts = {row["values"]: row["counts"] for row in sorted(found, key=lambda row: -row["counts"])}
    directions = _classify_directions(list(counts))
    kinds = directions or _classify_codes(counts) or {value: _classify(value) for value in counts}
    if any(is_won(value) for value in counts):  # stages of deals: the others are not won, or not yet
        kinds = {value: "sale" if is_won(value) else "none" for value in counts}
        return RowKinds(column, counts, kinds, False, frozenset(counts))
    certain = frozenset(value for value in counts if _is_certain(value)) - _find_ended(counts)
    settling = _find_settling(kinds)
    kinds |= dict.fromkeys(settling, "none")
    return RowKinds(column, counts, kinds, bool(directions), certain, settling)


def _classify_codes(values: Iterable[str]) -> dict[str, str]:
    """Classify the codes of documents, where one program uses all of them."""
    codes = {value: value.strip().lower() for value in values}
    for known in w.DOCUMENT_CODES:
        if len(codes) > 1 and set(codes.values()) <= set(known):
            return {value: known[code] for value, code in codes.items()}
    return {}


def _find_ended(values: Iterable[str]) -> frozenset[str]:
    """Find values such as closed beside complete: closed may then be refunded."""
    words = {value: _split_value(value) for value in values}
    if not any("complete" in found or "completed" in found for found in words.values()):
        return frozenset()
    return frozenset(value for value, found in words.items() if found in (["closed"], ["archived"]))


def _find_settling(kinds: dict[str, str]) -> frozenset[str]:
    """Find payments beside invoices: they settle these and are no sales."""
    words = {value: set(_split_value(value)) for value in kinds}
    if not any(words[value] & set(w.INVOICES) and kind == "sale" for value, kind in kinds.items()):
        return frozenset()
    return frozenset(value for value in kinds if words[value] & set(w.PAYMENTS))


def find_last_stage(kinds: RowKinds, columns: list[ColumnEvidence], amounts: np.ndarray | None) -> str:
    """Find the last kind of sale where each payment has a row per stage with one amount: authorized, settled.

    Args:
        kinds: Kinds of a column.
        columns: All columns.
        amounts: Amount of each row with its sign, shape (rows,); None where undecided.

    Returns:
        Value; "" where rows are no stages.
    """
    if amounts is None or len(kinds.counts) < 2 or kinds.column.is_number:
        return ""
    codes = kinds.column.codes
    for order in columns:
        if order is kinds.column or order.is_unique or order.present < order.rows or order.distinct < 2:
            continue
        frame = pd.DataFrame({"order": order.codes, "kind": codes, "amount": np.abs(amounts)})
        counts = frame.groupby("order")[["kind", "amount"]].nunique()
        if (counts["kind"] > 1).mean() < _MOST_ORDERS or (counts["amount"] == 1).mean() < _SIGNED_SHARE:
            continue
        if frame[["order", "kind"]].duplicated().mean() > 1 - _SIGNED_SHARE:
            continue
        frame["step"] = frame.groupby("order").cumcount()
        last = frame.groupby("kind")["step"].mean()
        texts = dict(zip(codes, kinds.column.column.text.to_pylist(), strict=True))
        sales = [code for code in last.sort_values().index if kinds.kinds.get(texts[code]) in ("sale", "")]
        return texts[sales[-1]] if len(sales) > 1 else ""
    return ""


def find_flag(column: ColumnEvidence) -> str:
    """Find the value that means yes in a column named cancelled, void or refunded.

    Args:
        column: Column.

    Returns:
        Value; "" without one.
    """
    if not column.name.has(w.FLAGS) and not any(stem in column.name.letters for stem in w.FLAGS_ANYWHERE):
        return ""
    lowered = {value.as_py().lower(): value.as_py() for value in pc.unique(column.column.text.drop_null())}
    if not set(lowered) <= w.TRUE | w.FALSE:
        return ""
    return next((value for word, value in lowered.items() if word in w.TRUE), "")


def _classify_directions(values: list[str]) -> dict[str, str]:
    words = {value.strip().lower(): value for value in values}
    for received, paid in w.DIRECTIONS:
        if set(words) == {received, paid}:
            return {words[received]: "sale", words[paid]: "return"}
    return {}


def _split_value(value: str) -> list[str]:
    return re.findall(r"[^\W_]+", w.to_plain_text(value).lower())


def _join_words(value: str) -> str:
    return "_".join(_split_value(value))


def _classify(value: str) -> str:
    """Classify a kind by its whole text, else by its words, of which a return counts most."""
    words = _split_value(value)
    if not value.isascii():
        for kind, parts in w.PARTS:
            if any(part in value for part in parts):
                return kind
    for found in (["_".join(words)], words):
        for kind, known in (("return", w.RETURNS), ("none", w.NO_SALES), ("sale", w.SALES)):
            if any(word in known for word in found):
                is_negated = kind == "sale" and any(word in w.NEGATIONS for word in words)
                return "none" if is_negated else kind
    return ""


def is_won(value: str) -> bool:
    """Return whether a value is the stage of a won deal, also as a program joins it: closedwon.

    Args:
        value: Value of a column of stages.

    Returns:
        True for a won deal.
    """
    return "".join(_split_value(value.split("(")[0])).endswith(w.WON)


def _is_certain(value: str) -> bool:
    words = _split_value(value)
    if any(part in value for part in w.UNDECIDED_PARTS):
        return False
    if any(word in w.UNCERTAIN for word in ("_".join(words), *words)):
        whole = "_".join(words)
        return whole in (*w.SALES, *w.NO_SALES) and whole not in w.UNCERTAIN
    return True


def _has_stem(value: str) -> bool:
    return any(stem in w.to_plain_text(value).lower() for stem in w.NO_SALE_STEMS)
