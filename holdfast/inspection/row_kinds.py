"""Questions about columns whose values are kinds of rows: status, flag of cancellation, direction of money."""

import re

import numpy as np

from holdfast.inspection.column_evidence import ColumnEvidence
from holdfast.inspection.column_names import split_words
from holdfast.inspection.proposal import Answer, Proposal, Question

_SALES = split_words(
    "paid complete completed fulfilled shipped delivered closed succeeded success successful captured settled done ok "
    "invoiced posted cleared confirmed approved sale charge payment purchase order processing partially_refunded "
    "partially_paid bezahlt abgeschlossen versendet geliefert checked_out purchased invoice order transaction pagado "
    "completado aprovado pago payé livré"
)
_RETURNS = split_words(
    "credit_note creditnote credit_memo avoir retoure rucksendung devolution reembolsado rembourse "
    "refund refunded return returned chargeback credit reversal reversed storno erstattet"
)
_NO_SALES = split_words(
    "cancelled canceled void voided failed declined rejected pending unpaid open draft expired abandoned storniert "
    "cancelado annulé checked_in no_show overdue due payment_due view cart click add_to_cart remove_from_cart visit "
    "session login search wishlist impression test created unavailable on_hold authorized offen ausstehend reverted "
    "redeem earn"
)
_NO_SALE_STEMS = re.compile(r"cancel|void|storn|annul|refund|revers|declin|chargeback|zuruck|abgelehnt", re.IGNORECASE)
_FLAG_STEMS = ("cancel", "void", "refund", "storn", "return", "deleted", "annul", "test")
_TRUE = {"true", "t", "yes", "y", "1", "ja", "oui", "si", "x"}
_FALSE = {"false", "f", "no", "n", "0", "nein", "non"}
# Value of received money, then of money that leaves the account.
_DIRECTIONS = (
    ("credit", "debit"),
    ("c", "d"),
    ("cr", "dr"),
    ("bij", "af"),
    ("haben", "soll"),
    ("h", "s"),
    ("in", "out"),
)
_MAX_KINDS = 15
_MIN_KNOWN = 0.8  # share of rows with a known word, in a column with another name
_SIGNED_SHARE = 0.98


def ask_about_kinds(column: ColumnEvidence, amounts: np.ndarray | None) -> Proposal:
    """Ask which kinds of rows are purchases, where a column has kinds that may be none.

    Args:
        column: Column without a role.
        amounts: Amount or quantity of each row with its sign, shape (rows,); None where undecided.

    Returns:
        Question, or nothing where each row is a purchase, or returns show by their sign.
    """
    if not 1 <= column.distinct <= _MAX_KINDS:
        return Proposal()
    counts = column.column.text.to_pandas().value_counts()
    values = [str(value) for value in counts.index]
    shown = ", ".join(f"{value} ({count:,})" for value, count in counts.items())
    directions = _classify_directions(values)
    kinds = directions or {value: _classify(value) for value in values}
    if _has_their_sign(column, kinds, amounts):
        return Proposal()
    if flagged := _find_flag(column, values):
        return _ask_about_flag(column, flagged, int(counts[flagged]))
    known = sum(counts[value] for value, kind in kinds.items() if kind) / counts.sum()
    if column.distinct < 2 or not (directions or _may_hold_other_kinds(column, kinds, known)):
        return Proposal()
    question = Question(
        f"{column.text} is {shown}. Which rows are purchases?",
        _list_answers(column, kinds),
        ("where", _condition_key(column, "where")),
    )
    return Proposal(questions=(question,))


def _may_hold_other_kinds(column: ColumnEvidence, kinds: dict[str, str], known: float) -> bool:
    """Return whether some values may be no sales: by clear words, else by words in a column of kinds."""
    found = set(kinds.values())
    if any(_NO_SALE_STEMS.search(value) and kind != "sale" for value, kind in kinds.items()):
        return True
    if column.name.is_status or column.name.is_kind:
        return bool(found & {"none", "return"}) or {"sale", ""} <= found
    return known >= _MIN_KNOWN and not found <= {"sale", ""}


def _list_answers(column: ColumnEvidence, kinds: dict[str, str]) -> tuple[Answer, ...]:
    known = [value for value, kind in kinds.items() if kind == "sale"]
    sales = [value for value, kind in kinds.items() if kind in ("sale", "")]
    returns = [value for value, kind in kinds.items() if kind == "return"]
    key = _condition_key(column, "where")
    nested = (lambda values: values) if key != "where" else (lambda values: {column.text: values})
    answers = [
        Answer(f"only {', '.join(part)}", {key: nested(part)})
        for part in ([known] if known and known != sales else []) + ([sales] if sales else [])
    ]
    if returns and sales:
        rule = {"column": column.text, "is": returns}
        keys = {key: nested([*sales, *returns]), "cancellation": rule}
        both = Answer(f"{', '.join(sales)}, and {', '.join(returns)} as returns", keys)
        answers.insert(len(answers) if column.name.is_status else 0, both)
    answers.append(Answer("all rows are purchases", {key: None if key != "where" else {}}))
    return tuple(answers)


def _ask_about_flag(column: ColumnEvidence, flagged: str, rows: int) -> Proposal:
    key = _condition_key(column, "where_not")
    condition = [flagged] if key != "where_not" else {column.text: [flagged]}
    question = Question(
        f"{column.text} is {flagged} in {rows:,} rows. Are they purchases?",
        (
            Answer("no: these rows are left out", {key: condition}),
            Answer("they are returns", {"cancellation": {"column": column.text, "is": [flagged]}}),
            Answer("yes", {key: None if key != "where_not" else {}}),
        ),
        ("where_not", key, "cancellation"),
    )
    return Proposal(questions=(question,))


def _find_flag(column: ColumnEvidence, values: list[str]) -> str:
    """Return the value that means yes in a column named cancelled, void or refunded; "" without one."""
    if not column.name.has(_FLAG_STEMS) and not any(stem in column.name.letters for stem in _FLAG_STEMS[:4]):
        return ""
    lowered = {value.lower(): value for value in values}
    if not set(lowered) <= _TRUE | _FALSE:
        return ""
    return next((value for word, value in lowered.items() if word in _TRUE), "")


def _condition_key(column: ColumnEvidence, rule: str) -> str:
    """Return the key of the condition on one column, so that two columns can have one each."""
    return rule if "." in column.text or "=" in column.text else f"{rule}.{column.text}"


def _classify_directions(values: list[str]) -> dict[str, str]:
    words = {value.strip().lower(): value for value in values}
    for received, paid in _DIRECTIONS:
        if set(words) == {received, paid}:
            return {words[received]: "sale", words[paid]: "return"}
    return {}


def _classify(value: str) -> str:
    """Classify a kind by its whole text, else by its words, of which a return counts most."""
    words = re.findall(r"[^\W_]+", value.lower())
    kinds = (("return", _RETURNS), ("none", _NO_SALES), ("sale", _SALES))
    for found in (["_".join(words)], words):
        for kind, known in kinds:
            if any(word in known for word in found):
                return kind
    return ""


def _has_their_sign(column: ColumnEvidence, kinds: dict[str, str], amounts: np.ndarray | None) -> bool:
    """Return whether all rows are sales or returns, and the amounts of returns, and of no others, are below zero."""
    if amounts is None or set(kinds.values()) != {"sale", "return"}:
        return False
    is_return = column.column.text.to_pandas().map(kinds).eq("return").to_numpy()
    known = np.isfinite(amounts) & (amounts != 0)
    return bool(known.any() and ((amounts < 0) == is_return)[known].mean() > _SIGNED_SHARE)
