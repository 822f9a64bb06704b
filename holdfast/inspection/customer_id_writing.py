"""Differences in the writing of ids that never make two customers."""

import unicodedata
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.parsing.customer_id_forms import apply_id_form
from holdfast.ingestion.value_rules import CustomerIdForm
from holdfast.inspection.column_evidence import ColumnEvidence
from holdfast.inspection.proposal import Decision, Proposal


def find_id_form(customer: ColumnEvidence) -> Proposal:
    """Find the form in which ids of one customer are equal: case of addresses, width and composition of characters.

    Args:
        customer: Column of customer ids.

    Returns:
        Form with its reason, or nothing.
    """
    ids = pc.unique(customer.column.text.drop_null())
    form: dict[str, Any] = {}
    reasons: list[str] = []
    if len(ids) and pc.all(pc.match_substring(ids, "@")).as_py() and (count := _count_merged(ids, {"case": "lower"})):
        form["case"] = "lower"
        reasons.append(f"{count:,} email addresses differ from another one in case only")
    if not pc.all(pc.fill_null(pc.string_is_ascii(ids), True)).as_py():
        written = "NFKC" if any(map(_has_width, ids.to_pylist())) else "NFC"
        if count := _count_merged(ids, {"unicode": written}):
            form["unicode"] = written
            what = "the width" if written == "NFKC" else "the composition"
            reasons.append(f"{count:,} ids differ from another one in {what} of their characters only")
    return Proposal((Decision("customer_id_form", form, "; ".join(reasons)),)) if form else Proposal()


def _count_merged(ids: pa.StringArray, form: dict[str, Any]) -> int:
    return len(ids) - len(pc.unique(apply_id_form(ids, CustomerIdForm.model_validate(form))))


def _has_width(text: str) -> bool:
    """Return whether a text has full-width or half-width characters, which stand for those of usual width."""
    return any(unicodedata.decomposition(letter).startswith(("<wide>", "<narrow>")) for letter in text)
