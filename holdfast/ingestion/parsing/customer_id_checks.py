"""Checks of the customer ids of a source: ids that stand for no single customer, ids that differ in writing only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import MISSING_VALUES, RowIssue, locate_row
from holdfast.ingestion.parsing.customer_id_forms import describe_similar_ids
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.value_rules import CustomerIdForm

# Names of no customer, in lower case.
_NAMES = """
guest, guests, guest user, guest customer, guest checkout, anonymous, anon, unknown, unknown customer, unregistered,
not set, (not set), undefined, walk-in, walkin, walk in, walk-in customer, cash, cash customer, cash sale, pos, counter,
default, default customer, dummy, test, no customer, no name, noname, misc, miscellaneous, other, others, customer,
not available, not applicable, missing, gast, unbekannt, invitado, invité, inconnu, ospite, convidado, onbekend
"""
_PLACEHOLDER_NAMES = frozenset(_NAMES.replace("\n", " ").strip().split(", "))
_PLACEHOLDER_NUMBERS = re.compile(r"-1|[0-]+|9{4,}|\?+|x+")
# Among many customers, the share of rows of the largest is far below: 2% of 4,400 customers of a wholesaler. The limit
# is the larger of a share and a multiple of the mean number of rows per customer, at most half of the rows.
_LARGE_SHARE, _LARGE_MULTIPLE = 0.05, 20
_PLACEHOLDER_SHARE, _PLACEHOLDER_MULTIPLE = 0.01, 2
_FEWEST_CUSTOMERS = 3
_FEWEST_ROWS = 10  # of an id without such a name: a customer with half of six rows is no finding


@dataclass(frozen=True)
class CustomerIdFindings:
    """Findings about the customer ids of a source.

    Attributes:
        issues: Rows of the ids that the mapping ignores.
        notes: Sentences for the person who ingests the source.
    """

    issues: list[RowIssue]
    notes: list[str]


def check_customer_ids(ids: pd.Series, files: Sequence[SourceFile], mapping: ColumnMapping) -> CustomerIdFindings:
    """Check the ids of all rows.

    Args:
        ids: Id of each row, null where missing.
        files: Files of the rows.
        mapping: Mapping with the ids to ignore.

    Returns:
        Rows to set aside, and notes.
    """
    codes, unique = pd.factorize(ids)
    names = np.array([*unique, None], dtype=object)
    ignored = np.zeros(len(names), dtype=bool)
    if mapping.ignore_customers:
        texts = {text.casefold() for text in mapping.ignore_customers}
        ignored[:-1] = [text.casefold() in texts for text in names[:-1]]
        ignored[-1] = bool(texts & set(MISSING_VALUES))
    issues = [RowIssue("customer_id is in ignore_customers", ignored[codes], counted=False)] if ignored.any() else []
    counts = np.bincount(codes[codes >= 0], minlength=len(unique))
    counts[ignored[:-1]] = 0
    notes = _describe_large_ids(names, counts)
    if mapping.customer_id_form == CustomerIdForm():
        # Rows stand for the ids: notes are published, and ids may be email addresses.
        notes += describe_similar_ids(
            pa.array(names[:-1], pa.string()), lambda position: locate_row(files, int(np.argmax(codes == position)))
        )
    return CustomerIdFindings(issues, notes)


def _describe_large_ids(names: np.ndarray, counts: np.ndarray) -> list[str]:
    """Describe the ids with a larger share of the rows than one customer has."""
    total, customers = counts.sum(), (counts > 0).sum()
    if customers < _FEWEST_CUSTOMERS:
        return []
    large = min(max(_LARGE_SHARE, _LARGE_MULTIPLE / customers), 0.5) * total
    number = min(max(_PLACEHOLDER_SHARE, _PLACEHOLDER_MULTIPLE / customers), 0.5) * total
    notes = []
    for position in np.flatnonzero(counts >= _PLACEHOLDER_SHARE * total):
        name, count = str(names[position]), int(counts[position])
        text = name.casefold()
        is_placeholder = _PLACEHOLDER_NUMBERS.fullmatch(text) is not None or text.split("@")[0] in _PLACEHOLDER_NAMES
        if text in _PLACEHOLDER_NAMES or (is_placeholder and count >= number) or count >= max(large, _FEWEST_ROWS):
            notes.append(
                f"Customer {name!r} has {count:,} of {total:,} rows ({count / total:.1%}). "
                f"If the id stands for guests or unknown customers, set `ignore_customers: ['{name}']` in "
                "the mapping, which leaves these rows out."
            )
    return notes
