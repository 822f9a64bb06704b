"""Draft of a mapping for attributes or events, which a first look does not preview."""

from collections.abc import Sequence

import yaml

from holdfast.inspection.column_evidence import ColumnEvidence
from holdfast.inspection.proposal import Decision

OTHER_KINDS = ("attributes", "events")
NO_MONEY = (
    "No column surely holds money. Where the rows are no purchases, `--set kind=attributes` (country, segment, plan of "
    "a customer) or `--set kind=events` (visits, tickets, mails) drafts a mapping for them."
)
_MOST_VALUES = 256  # of an attribute: a column with more is text or an id
_MOST_KINDS = 30
_KIND_WORDS = ("type", "kind", "event", "action", "activity", "category", "typ", "tipo", "art")


def draft_mapping(
    kind: str,
    columns: Sequence[ColumnEvidence],
    time: ColumnEvidence | None,
    customer: ColumnEvidence | None,
    formats: Sequence[Decision],
) -> str:
    """Draft a mapping for a source of another kind than transactions.

    Args:
        kind: Kind of source.
        columns: Columns of the source.
        time: Column of the time, if one is found.
        customer: Column of the customer, if one is found.
        formats: Decisions about the file and its times, such as ``timestamp_format``.

    Returns:
        Sentence with the mapping in YAML, with COLUMN where no column is found.
    """
    free = [column for column in columns if column not in (time, customer) and not column.is_time]
    fields: dict[str, object] = {
        "customer_id": customer.text if customer else "COLUMN",
        "event_timestamp": time.text if time else "COLUMN",
    }
    if kind == "attributes":
        found = [column for column in free if _is_category(column, _MOST_VALUES)]
        fields["attributes"] = {_name(column): column.text for column in found} or {"NAME": "COLUMN"}
    else:
        kinds = [column for column in free if _is_category(column, _MOST_KINDS) and not column.is_number]
        numbers = [column for column in free if column.is_number and not column.is_constant and not column.is_unique]
        kinds.sort(key=lambda column: not set(_name(column).split("_")) & set(_KIND_WORDS))
        fields["kind"] = kinds[0].text if kinds else {"constant": "visit"}
        fields |= {"value": numbers[0].text} if numbers else {}
    other = {decision.key: decision.value for decision in formats if "." not in decision.key}
    text = yaml.safe_dump({"kind": kind, "columns": fields} | other, sort_keys=False, allow_unicode=True)
    return (
        f"A first look previews transactions. A draft for {kind}, whose columns need your check "
        f"(docs/ingest.md, kinds of source):\n{text}Write it to a file, and ingest the source with --mapping."
    )


def _is_category(column: ColumnEvidence, most: int) -> bool:
    return 1 < column.distinct <= most and not column.is_unique and not column.is_sentence and not column.is_decimal


def _name(column: ColumnEvidence) -> str:
    return "_".join(column.text.casefold().split())
