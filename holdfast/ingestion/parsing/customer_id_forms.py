"""Forms of customer ids: differences in writing, and ids that differ only by them."""

import unicodedata
from collections.abc import Callable
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.value_rules import CustomerIdForm

_INVISIBLE = r"[\x{00ad}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{2064}\x{feff}]"
_BLANKS = r"[\s\p{Z}]+"
_FORMS = {
    "in upper and lower case": ("{case: lower}", CustomerIdForm(case="lower")),
    "in their Unicode form": ("{unicode: NFC}", CustomerIdForm(unicode="NFC")),
    "in blanks": ("{spaces: remove}", CustomerIdForm(spaces="remove")),
    "in invisible characters": ("{invisible: remove}", CustomerIdForm(invisible="remove")),
}


def apply_id_form(ids: pa.StringArray, form: CustomerIdForm) -> pa.StringArray:
    """Write ids in the form of a mapping.

    Args:
        ids: Ids.
        form: Form of the mapping.

    Returns:
        Ids in that form, trimmed.
    """
    if form == CustomerIdForm():
        return ids
    if form.invisible == "remove":
        ids = pc.replace_substring_regex(ids, _INVISIBLE, "")
    if form.unicode != "keep":
        ids = _normalize(ids, form.unicode)
    if form.spaces != "keep":
        ids = pc.replace_substring_regex(ids, _BLANKS, " " if form.spaces == "collapse" else "")
    if form.case != "keep":
        ids = pc.utf8_lower(ids) if form.case == "lower" else pc.utf8_upper(ids)
    return pc.utf8_trim_whitespace(ids)


def _normalize(ids: pa.StringArray, form: Literal["NFC", "NFKC"]) -> pa.StringArray:
    """Normalize ids by the standard library: Arrow 25 decomposes characters for NFC too."""
    rows = pc.invert(pc.fill_null(pc.string_is_ascii(ids), True))
    written = [unicodedata.normalize(form, text) for text in ids.filter(rows).to_pylist()]
    return pc.replace_with_mask(ids, rows, pa.array(written, pa.string()))


def describe_similar_ids(ids: pa.StringArray, locate: Callable[[int], str]) -> list[str]:
    """Describe the ids that differ from another one only in writing.

    Args:
        ids: Different ids.
        locate: Function that names the row of an id, given its position.

    Returns:
        One sentence per kind of difference, with an example and the key of the mapping that makes one customer of them.
    """
    notes = []
    for difference, (key, form) in _FORMS.items():
        found = _count_similar(ids, apply_id_form(ids, form), locate)
        if found is not None:
            notes.append(
                f"{found} differ only {difference} and are different customers. Set `customer_id_form: {key}` in the "
                "mapping if they are not."
            )
    zeros = _count_similar(ids, pc.replace_substring_regex(ids, "^0+([0-9]+)$", r"\1"), locate)
    if zeros is not None:
        notes.append(
            f"{zeros} differ only in zeros in front and are different customers. A spreadsheet removes such zeros: if "
            "one did, export the ids as text."
        )
    return notes


def _count_similar(ids: pa.StringArray, written: pa.StringArray, locate: Callable[[int], str]) -> str | None:
    """Count the ids that another id equals once written in a form, with an example."""
    if pc.all(pc.equal(ids, written)).as_py():
        return None
    counts = pc.value_counts(written)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(repeated) == 0:
        return None
    rows = np.flatnonzero(pc.is_in(written, value_set=repeated).to_numpy(zero_copy_only=False))
    first = written[int(rows[0])]
    pair = np.flatnonzero(pc.equal(written, first).to_numpy(zero_copy_only=False))[:2]
    return f"{len(rows):,} customer ids, such as those of {' and '.join(locate(int(row)) for row in pair)},"
