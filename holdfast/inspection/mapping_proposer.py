"""Proposal of a complete column mapping for a source."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.core.errors import IngestError
from holdfast.ingestion.reading.compression import decompress
from holdfast.ingestion.reading.file_content import read_content
from holdfast.ingestion.reading.source_files import list_source_files
from holdfast.inspection.amount_role import choose_amount
from holdfast.inspection.cancellation_rule import find_cancellation
from holdfast.inspection.column_evidence import ColumnEvidence, measure_columns
from holdfast.inspection.customer_role import choose_customer
from holdfast.inspection.decimal_sign import choose_decimal, guess_decimal
from holdfast.inspection.file_dates import propose_file_dates
from holdfast.inspection.known_exports import find_recipe
from holdfast.inspection.other_kinds import NO_MONEY, OTHER_KINDS, draft_mapping
from holdfast.inspection.price_and_quantity import drop_unusable_quantity
from holdfast.inspection.proposal import Answer, Decision, Proposal, Question, list_named_columns
from holdfast.inspection.row_rules import find_repeated_rows, find_row_rules
from holdfast.inspection.source_sample import SourceSample, count_title_rows, read_sample
from holdfast.inspection.text_format import detect_encoding, detect_layout
from holdfast.inspection.time_role import choose_time, choose_zone

_LAYOUT_SAMPLE = 1024 * 1024
_DEFAULTS = {"encoding": "utf-8", "delimiter": ",", "quoted": True, "skip_rows": 0, "column_names": ()}
_FORMAT_KEYS = tuple(_DEFAULTS)
_MONEY = ("columns.amount", "columns.unit_price")


def propose_mapping(path: Path, given: Mapping[str, Any]) -> tuple[Proposal, SourceSample]:
    """Propose a mapping for a source.

    Args:
        path: File or folder.
        given: Keys of the mapping that a person has decided: ``{"columns.customer_id": "email"}``.

    Returns:
        Proposal, and the sample that it rests on.

    Raises:
        IngestError: The source is not readable, the files of a folder differ in their format, or the given kind has no
            first look; the message has a draft of its mapping.
    """
    file_format = _propose_format(path, given)
    decided = {d.key: d.value for d in file_format.decisions}
    sample = read_sample(path, decided | {k: v for k, v in given.items() if k in _FORMAT_KEYS})
    if "skip_rows" not in decided | dict(given) and (titles := count_title_rows(path, sample, decided)):
        sample = read_sample(path, decided | {"skip_rows": titles})
        file_format += Proposal((Decision("skip_rows", titles, "rows above the header"),))
    columns = measure_columns(sample)
    _require_given_columns(given, columns)
    decimal = str(given.get("decimal") or guess_decimal(columns))

    time, proposal = choose_time(columns, given.get("columns.event_timestamp"))
    if time is None and (by_file := propose_file_dates([file.name for file in sample.source.files])):
        proposal = by_file
    free = [c for c in columns if c is not time and c.text not in list_named_columns(list(given.values()))]
    money = choose_amount(free, decimal)
    taken = _chosen_columns(money, given)
    proposal += choose_zone(columns)
    customers = choose_customer(columns, time, taken)
    customer_name = given.get("columns.customer_id") or _chosen(customers, "columns.customer_id")
    customer = next((c for c in columns if c.text == customer_name), None)
    if (kind := given.get("kind")) in OTHER_KINDS:
        formats = [*file_format.decisions, *(d for d in proposal.decisions if d.key == "timestamp_format")]
        raise IngestError(draft_mapping(kind, columns, time, customer, formats))
    taken |= {customer_name} if customer_name else set()
    sign = choose_decimal([c for c in columns if c.text in taken and c is not customer], decimal)
    rest = [c for c in columns if c.text not in taken and c is not time]
    decided_money = {d.key: d.value for d in money.decisions} | dict(given)
    signed = decided_money.get("columns.amount") or decided_money.get("columns.quantity")
    money += _choose_minor_units([c for c in columns if c.text in taken])
    prices = _read_by_name(columns, decided_money.get("columns.unit_price"), decimal)
    amounts = _read_by_name(columns, signed, decimal)
    factors = tuple(decided_money.get(key, "") for key in ("columns.quantity", "columns.unit_price"))
    if not any(key in decided_money for key in _MONEY):
        money += Proposal(notes=(NO_MONEY,))
    factors = factors if all(factors) and "columns.amount" not in decided_money else ()
    rule = find_cancellation(rest, customer, amounts, prices)
    if recipe := find_recipe(sample.columns):
        rule += Proposal(notes=(f"{recipe} has a tested mapping for an export with these columns.",))
    rule += find_row_rules(rest, columns, customer, amounts, factors, decimal) + find_repeated_rows(columns)
    encoding = _ask_for_encoding(path, customer, given)
    whole = _apply_given(customers + proposal + money + sign + rule + file_format + encoding, given)
    whole = whole if "columns.quantity" in given else drop_unusable_quantity(whole, columns, decimal)
    if sample.absent and any(key.startswith("columns.") for q in whole.questions for key in q.keys):
        listed = ", ".join(f"{name!r} (not in {file})" for name, file in sample.absent.items())
        raise IngestError(
            f"{path}: the files differ in their columns: {listed}. Rename them in the exports, or write a mapping: "
            "`files` has rules for some files, `rows_from` and `join` read tables that belong together."
        )
    return whole, sample


def _propose_format(path: Path, given: Mapping[str, Any]) -> Proposal:
    """Detect encoding, delimiter and quoting of the text files; they are the same in all files."""
    found: dict[str, tuple[str, tuple[Decision, ...]]] = {}
    for file in list_source_files(path).files:
        found_file = decompress(file.name, read_content(file.path)[0])
        content = found_file.content
        if found_file.file_type != "text":
            continue
        encoding = detect_encoding(content)
        name = str(given.get("encoding", encoding.name))
        text = content[:_LAYOUT_SAMPLE].decode(name, errors="replace").removeprefix("\ufeff")
        if len(content) > _LAYOUT_SAMPLE:
            text = text[: text.rfind("\n") + 1]
        layout = detect_layout(text)
        decisions = (
            Decision("encoding", encoding.name, encoding.reason),
            Decision("delimiter", layout.delimiter or ",", layout.reason),
            Decision("quoted", layout.quoted, 'the character " does not enclose values'),
            Decision("skip_rows", layout.skip_rows, "lines of fewer fields above the header"),
            Decision("column_names", list(layout.column_names) or (), "the first line is a row: no header"),
        )
        needed = tuple(d for d in decisions if d.value != _DEFAULTS[d.key])
        found.setdefault(repr([(d.key, d.value) for d in needed if d.key not in given]), (file.name, needed))
    if len(found) > 1:
        listed = "; ".join(f"{name}: {key[1:-1] or 'comma, UTF-8'}" for key, (name, _) in found.items())
        raise IngestError(
            f"{path}: the files differ in their format ({listed}). Put files of one format into a folder and inspect "
            "each folder."
        )
    return Proposal(next(iter(found.values()))[1]) if found else Proposal()


def _choose_minor_units(money: list[ColumnEvidence]) -> Proposal:
    """Read whole numbers in a column named cents or pence in the smallest unit of their currency."""
    column = next((c for c in money if c.name.is_minor_unit and c.is_integer), None)
    if column is None:
        return Proposal()
    return Proposal((Decision("minor_units", True, f"whole numbers, and the unit in the name {column.text}"),))


def _ask_for_encoding(path: Path, customer: ColumnEvidence | None, given: Mapping[str, Any]) -> Proposal:
    """Ask for the encoding where the bytes allow several and the ids depend on it."""
    if "encoding" in given or customer is None:
        return Proposal()
    ids = [value.as_py() for value in customer.column.text.drop_null().unique() if not value.as_py().isascii()]
    if not ids:
        return Proposal()
    for file in list_source_files(path).files:
        found = decompress(file.name, read_content(file.path)[0])
        encoding = detect_encoding(found.content)
        if found.file_type == "text" and encoding.alternatives:
            raw = [text.encode(encoding.name, errors="replace") for text in ids]
            names = (encoding.name, *encoding.alternatives)
            read = {name: [text.decode(name, errors="replace") for text in raw] for name in names}
            differs = [i for i, _ in enumerate(raw) if len({read[name][i] for name in names}) > 1]
            if not differs:
                continue
            answers = tuple(Answer(f"{name}: {read[name][differs[0]]!r}", {"encoding": name}) for name in names)
            return Proposal(questions=(Question("Which encoding shows the ids right?", answers, ("encoding",)),))
    return Proposal()


def _require_given_columns(given: Mapping[str, Any], columns: list[ColumnEvidence]) -> None:
    names = {c.text for c in columns}
    for key, value in given.items():
        missing = [name for name in list_named_columns(value) if name not in names]
        if key.startswith("columns.") and missing:
            raise IngestError(
                f"--set {key}={missing[0]}: no such column. Columns: {', '.join(map(repr, sorted(names)))}."
            )


def _chosen(part: Proposal, key: str) -> str | None:
    return next((d.value for d in part.decisions if d.key == key), None)


def _chosen_columns(money: Proposal, given: Mapping[str, Any]) -> set[str]:
    """Return the columns of money: decided, given, or possible by a question."""
    decided = {d.key: d.value for d in money.decisions} | dict(given)
    values = [value for key, value in decided.items() if key.startswith("columns.")]
    if not any(key in given for key in _MONEY):
        values += [dict(a.keys) for q in money.questions for a in q.answers[:1]]
    return set(list_named_columns(values))


def _read_by_name(columns: list[ColumnEvidence], name: str | None, decimal: str) -> np.ndarray | None:
    column = next((c for c in columns if c.text == name), None)
    return column.read_numbers(decimal) if column else None


def _apply_given(proposal: Proposal, given: Mapping[str, Any]) -> Proposal:
    """Let the keys that a person has given replace decisions and settle questions."""
    replaced = set(given)
    if "columns.amount" in given:
        replaced |= {"columns.unit_price"} | ({"columns.quantity"} - set(given) if _has_price(proposal) else set())
    elif "columns.unit_price" in given:
        replaced |= {"columns.amount"}
    decisions = [d for d in proposal.decisions if d.key not in replaced and d.key.partition(".")[0] not in replaced]
    decisions += [Decision(key, value, "given") for key, value in given.items() if value is not None]
    questions = tuple(q for q in proposal.questions if not set(q.keys) & set(given))
    return Proposal(tuple(sorted(decisions, key=_position)), questions, tuple(dict.fromkeys(proposal.notes)))


def _has_price(proposal: Proposal) -> bool:
    return any(d.key == "columns.unit_price" for d in proposal.decisions)


def _position(decision: Decision) -> int:
    """Return the position of a key in a mapping file: columns first, in the order of the fields."""
    fields = ("customer_id", "event_timestamp", "amount", "quantity", "unit_price")
    order = [*(f"columns.{f}" for f in fields), "timestamp_format", "time_zone", "decimal", "cancellation"]
    return order.index(decision.key) if decision.key in order else len(order)
