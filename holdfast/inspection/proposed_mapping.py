"""Proposed mapping of a source that a run was given without one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.inspection.inspection import inspect_source
from holdfast.inspection.inspection_report import list_questions
from holdfast.inspection.mapping_writer import render_mapping, write_mapping
from holdfast.models.label import LabelTerms


@dataclass(frozen=True)
class ProposedMapping:
    """Mapping file of a source.

    Attributes:
        path: Mapping file in the data folder.
        summary: Mapped columns, one line.
    """

    path: Path
    summary: str


def provide_mapping(settings: Settings, source: Path, min_history_days: int) -> ProposedMapping:
    """Propose a mapping for a source and write it to the data folder; a later run with the source uses that file.

    Args:
        settings: Settings with the data folder and the horizon.
        source: File or folder.
        min_history_days: Days of history before the earliest cut-off.

    Returns:
        Mapping file.

    Raises:
        IngestError: The source is not readable, leaves a decision open, or would be rejected.
    """
    digest = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:8]
    target = settings.data / "mappings" / f"{source.name}-{digest}.yaml"
    if target.exists():
        return ProposedMapping(target, f"{target}, as proposed by an earlier run")
    terms = LabelTerms.of(settings)
    inspection = inspect_source(source, {}, terms.outcome_days, min_history_days, terms.has_subscriptions)
    if inspection.proposal.questions:
        raise IngestError(f"{source.name} needs a decision before a run:\n{list_questions(inspection)}")
    if inspection.preview is not None and inspection.preview.refusal:
        raise IngestError(inspection.preview.refusal)
    write_mapping(render_mapping(inspection.proposal, source.name), target, overwrite=False)
    columns = [
        f"{decision.key.removeprefix('columns.')}: {decision.value}"
        for decision in inspection.proposal.decisions
        if decision.key.startswith("columns.")
    ]
    return ProposedMapping(target, f"{', '.join(columns)} ({target})")
