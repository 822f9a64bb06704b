"""First look at a source: proposal, preview and readiness for training."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.core.errors import IngestError
from holdfast.inspection.mapping_proposer import propose_mapping
from holdfast.inspection.preview import Preview, preview_ingest
from holdfast.inspection.proposal import Answer, Proposal, Question
from holdfast.inspection.training_readiness import TrainingReadiness, assess_readiness

_MANY_UNREADABLE, _FEW_ROWS = 0.1, 3
# Reasons of rows that are readable, or that a rule of the mapping names.
_EXPECTED = re.compile(r"is missing|ignore_customers|currency|is not in [A-Z]{3}$|duplicate|amount is 0")


@dataclass(frozen=True)
class Inspection:
    """Result of a first look.

    Attributes:
        path: File or folder.
        rows: Rows of the source.
        columns: Columns of the source.
        evidence_rows: Rows that the proposal rests on.
        proposal: Proposed mapping.
        preview: Preview of an ingest with the proposal, or with the first answers; None where a column is undecided.
        readiness: Readiness for training; None where no row would be stored.
    """

    path: Path
    rows: int
    columns: int
    evidence_rows: int
    proposal: Proposal
    preview: Preview | None
    readiness: TrainingReadiness | None

    @property
    def is_sure(self) -> bool:
        """Return whether the proposal is complete and an ingest accepts the source."""
        return self.proposal.is_sure and self.preview is not None and not self.preview.refusal


def inspect_source(
    path: Path, given: Mapping[str, Any], outcome_days: int, min_history_days: int, has_subscriptions: bool = False
) -> Inspection:
    """Take a first look at a source; nothing is stored.

    Args:
        path: File or folder.
        given: Keys of the mapping that a person has decided.
        outcome_days: Days from a cut-off until its outcomes are known.
        min_history_days: Days of history before the earliest cut-off.
        has_subscriptions: Whether the label reads ends of subscriptions, so that no horizon is proposed.

    Returns:
        Proposal with its preview.

    Raises:
        IngestError: The source is not readable, or a given key is invalid.
    """
    proposal, sample = propose_mapping(path, given)
    mapping = proposal.assume_first_answers().build_mapping()
    if mapping is None and proposal.is_sure:
        raise IngestError(f"{path}: {proposal.explain_invalid()}")
    preview = preview_ingest(path, mapping) if mapping is not None else None
    if preview is not None and "max_bad_share" not in given:
        proposal += _ask_about_unreadable(preview)
    readiness = None
    if preview is not None and len(preview.transactions):
        readiness = assess_readiness(preview, outcome_days, min_history_days, has_subscriptions)
    return Inspection(
        path=path,
        rows=sample.source.rows_read,
        columns=len(sample.columns),
        evidence_rows=sample.rows,
        proposal=proposal,
        preview=preview,
        readiness=readiness,
    )


def _ask_about_unreadable(preview: Preview) -> Proposal:
    """Ask where many rows have a value that the mapping does not read, or rows that do not fit the table."""
    unread = [reason for reason in preview.reasons if not _EXPECTED.search(reason.reason)]
    if not unread or unread[0].rows < max(_FEW_ROWS, _MANY_UNREADABLE * preview.rows_read):
        return Proposal()
    first = unread[0]
    share = first.rows / preview.rows_read
    question = Question(
        f"{share:.0%} of the rows would go to quarantine: {first.reason}, such as {first.examples[0]}. Is that right?",
        (
            Answer("yes: leave these rows out", {"max_bad_share": 0.5}),
            Answer("no: choose other columns or formats"),
        ),
        ("max_bad_share",),
    )
    return Proposal(questions=(question,))
