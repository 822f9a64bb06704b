"""Classification of the values of a column as sales, returns and rows that are neither."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.compute as pc

from holdfast.inspection import words as w
from holdfast.inspection.column_evidence import ColumnEvidence

_MAX_KINDS = 15
_MIN_KNOWN = 0.8  # share of rows with a known word, in a column with another name
_SIGNED_SHARE = 0.98


@dataclass(frozen=True)
class RowKinds:
    """Values of a column with the kind of row that each one stands for.

    Attributes:
        column: Column.
        counts: Rows of each value, most frequent first.
        kinds: Kind of each value: ``sale``, ``return``, ``none`` (no sale), or "" (unknown).
        is_direction: Whether the values are the two directions of money.
        certain: Values whose kind has one reading.
    """

    column: ColumnEvidence
    counts: dict[str, int]
    kinds: dict[str, str]
    is_direction: bool
    certain: frozenset[str]

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
    kinds = directions or {value: _classify(value) for value in counts}
    if any(is_won(value) for value in counts):  # stages of deals: the others are not won, or not yet
        kinds = {value: "sale" if is_won(value) else "none" for value in counts}
        return RowKinds(column, counts, kinds, False, frozenset(counts))
    certain = frozenset(value for value in counts if _is_certain(value))
    return RowKinds(column, counts, kinds, bool(directions), certain)


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
    if any(word in w.UNCERTAIN for word in ("_".join(words), *words)):
        whole = "_".join(words)
        return whole in (*w.SALES, *w.NO_SALES) and whole not in w.UNCERTAIN
    return True


def _has_stem(value: str) -> bool:
    return any(stem in w.to_plain_text(value).lower() for stem in w.NO_SALE_STEMS)
