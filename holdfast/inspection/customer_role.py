"""Choice of the column with the customer id."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from holdfast.ingestion.parsing.timestamp_formats import ISO_8601
from holdfast.inspection.column_evidence import ColumnEvidence, is_order_like, measure_determination
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question

_KEY = "columns.customer_id"
_MANY_ROWS = 200
_FEW_VALUES = 0.002  # distinct values per row below which an unnamed column is a category
_SEVERAL_VALUES = 10  # beside a column of so many values, one of two values is a flag
_ONE_TO_ONE = 0.995
_FULLER = 1.02
_MOST = 0.8


@dataclass(frozen=True)
class _Candidate:
    column: ColumnEvidence
    support: int


def choose_customer(columns: list[ColumnEvidence], time: ColumnEvidence | None, used: set[str]) -> Proposal:
    """Choose the column of customer ids: by names with values that repeat, else by elimination.

    Args:
        columns: Evidence of all columns.
        time: Column of times.
        used: Columns with another role.

    Returns:
        Its part of the proposal.
    """
    free = [c for c in columns if c.text not in used and c is not time and c.present and not _is_date(c)]
    free = _drop_own_accounts([c for c in free if c.name.is_id or not c.has_fractions])
    named = [_Candidate(c, c.name.customer_support) for c in free if c.name.customer_support > 0]
    strongest = max((candidate.support for candidate in named), default=0)
    chosen = [c.column for c in named if c.support == strongest]
    if strongest >= 2:
        return _choose_named([c for c in chosen if not c.is_constant or c.rows < 10] or chosen, named, time, free)
    return _choose_unnamed(chosen, free, time)


def _is_category(column: ColumnEvidence) -> bool:
    """Return whether a column has too few values for customers."""
    if column.rows <= _MANY_ROWS:
        return column.is_constant and (column.rows >= 10 or not column.name.customer_support)
    return column.distinct < max(10, _FEW_VALUES * column.rows)


def _is_date(column: ColumnEvidence) -> bool:
    """Return whether a column holds dates; numbers are ids unless each is a day or has the points of a date."""
    if column.column.is_time or column.is_compact_day or (column.is_time and not column.is_number):
        return True
    return column.is_written_time and column.times.readings[0] != (ISO_8601,)


def _choose_named(
    chosen: list[ColumnEvidence], named: list[_Candidate], time: ColumnEvidence | None, free: list[ColumnEvidence]
) -> Proposal:
    chosen = _drop_categories(chosen)
    if len(chosen) > 1 and time is not None:
        repeating = [c for c in chosen if not is_order_like(c, time)]
        chosen = repeating or chosen
    distinct = _drop_names(_drop_equal(sorted(chosen, key=lambda c: (not c.name.is_id, c.is_person_name, -c.present))))
    best = distinct[0]
    if (address := _find_extension(best, named)) and set(map(id, distinct)) <= {id(best), id(address)}:
        reason = f"each has one {best.text}, which is missing in more rows or has the same value for several"
        return Proposal((Decision(_KEY, address.text, f"{reason}; {_describe(address)}"),))
    if len(distinct) > 1:
        return _ask(f"{' and '.join(repr(c.text) for c in distinct)} may be customers. Which one?", distinct)
    others = [c.column for c in named if c.column is not best and c.support >= 2]
    fuller = [c for c in others if c.present > 1.05 * best.present and not _is_one_to_one(c, best)]
    if best.is_unique and best.rows > _MANY_ROWS:
        rest = [c for c in (*others, *free) if c is not best and not c.is_unique and c.distinct > 0.2 * c.rows]
        text = f"Each value of {best.text!r} occurs once in {best.rows:,} rows. Is it the customer?"
        return _ask(text, [best, *dict.fromkeys(rest)])
    if fuller:
        missing = 1 - best.present / best.rows
        text = f"{best.text!r} is missing in {missing:.0%} of the rows, {fuller[0].text!r} in fewer."
        return _ask(f"{text} Which is the customer?", [best, *fuller])
    kind = "email addresses" if best.name.customer_support == 2 else "customers"
    return Proposal((Decision(_KEY, best.text, f"the name speaks for {kind}; {_describe(best)}"),))


def _find_extension(best: ColumnEvidence, named: list[_Candidate]) -> ColumnEvidence | None:
    """Find the addresses that have one id each, also in rows without an id, or that persons of one name have."""
    for address in (c.column for c in named if c.column is not best and c.column.is_email):
        rows = best.is_known & address.is_known
        if not rows.any() or address.is_known.sum() < best.is_known.sum():
            continue
        pairs = pd.DataFrame({"id": best.codes[rows], "address": address.codes[rows]}).drop_duplicates()
        fills = address.is_known.sum() > _FULLER * best.is_known.sum()
        is_one_to_one = len(pairs) * _ONE_TO_ONE <= min(pairs["id"].nunique(), pairs["address"].nunique())
        if (fills and is_one_to_one) or (best.is_person_name and measure_determination(address, best) >= _ONE_TO_ONE):
            return address
    return None


def _drop_names(candidates: list[ColumnEvidence]) -> list[ColumnEvidence]:
    """Leave out names, which several customers may have, where each number or address has one of them."""
    ids = [c for c in candidates if not c.is_person_name]
    return [c for c in candidates if c in ids or not any(measure_determination(i, c) >= _ONE_TO_ONE for i in ids)]


def _drop_own_accounts(free: list[ColumnEvidence]) -> list[ColumnEvidence]:
    """Leave out the side of the shop where two columns have addresses or accounts: it has one in most rows."""
    sides = [c for c in free if c.name.customer_support >= 2 and c.largest_share < _MOST]
    return [c for c in free if not sides or c.largest_share < _MOST or c.name.customer_support < 1 or c in sides]


def _choose_unnamed(chosen: list[ColumnEvidence], free: list[ColumnEvidence], time: ColumnEvidence | None) -> Proposal:
    """Choose a column named id, or the only one whose values can be customers."""
    rest = [
        c
        for c in free
        if c not in chosen
        and c.name.customer_support == 0
        and not _is_category(c)
        and not c.is_sentence
        and not c.is_decimal
        and not (c.rows > _MANY_ROWS and c.is_unique)
    ]
    orders = [c for c in free if c.name.is_order and not c.is_unique and not c.is_time and not c.is_decimal]
    orders = [c for c in orders if not _is_category(c)]
    candidates = [*(c for c in chosen if not _is_category(c)), *rest]
    candidates = [c for c in candidates if not any(measure_determination(o, c) < 0.9 for o in orders if o is not c)]
    candidates = _drop_finer(candidates, time) if len(candidates) > 1 else candidates
    candidates = _drop_equal(candidates)
    if len(candidates) != 1:
        listed = candidates or [c for c in free if not c.is_constant and not c.is_decimal and not c.is_unique]
        listed = sorted(listed, key=lambda c: c.is_sentence or _is_category(c))
        text = "Which column is the customer? No name speaks for one."
        return _ask(text, listed[:6])
    best = candidates[0]
    if best.is_unique and best.rows > _MANY_ROWS:
        return _ask(f"Each value of {best.text!r} occurs once in {best.rows:,} rows. Is it the customer?", [best])
    return Proposal((Decision(_KEY, best.text, f"the only column that can be the customer; {_describe(best)}"),))


def _drop_categories(chosen: list[ColumnEvidence]) -> list[ColumnEvidence]:
    """Leave out columns of a few values where another one has many."""
    largest = max(c.distinct for c in chosen)
    smallest = max(0.02 * largest, 3 if largest >= _SEVERAL_VALUES else 0)
    return [c for c in chosen if c.distinct >= smallest]


def _drop_finer(candidates: list[ColumnEvidence], time: ColumnEvidence | None) -> list[ColumnEvidence]:
    """Leave out columns with one value per order or row where another repeats over time."""
    if time is None:
        return candidates
    repeating = [c for c in candidates if not is_order_like(c, time)]
    return repeating or candidates


def _drop_equal(candidates: list[ColumnEvidence]) -> list[ColumnEvidence]:
    """Leave out columns that name the values of another one, such as a name beside a number."""
    distinct: list[ColumnEvidence] = []
    for column in candidates:
        if not any(_is_one_to_one(column, other) for other in distinct):
            distinct.append(column)
    return distinct


def _is_one_to_one(one: ColumnEvidence, other: ColumnEvidence) -> bool:
    if abs(one.distinct - other.distinct) > 0.01 * max(one.distinct, other.distinct):
        return False
    shares = (measure_determination(one, other), measure_determination(other, one))
    return all(np.isnan(share) or share >= _ONE_TO_ONE for share in shares)


def _describe(column: ColumnEvidence) -> str:
    return f"{column.distinct:,} different values in {column.present:,} rows"


def _ask(text: str, columns: list[ColumnEvidence]) -> Proposal:
    answers = tuple(Answer(f"the column {c.text!r} ({_describe(c)})", {_KEY: c.text}) for c in columns[:6])
    return Proposal(questions=(Question(text, answers, (_KEY,)),))
