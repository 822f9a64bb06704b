"""Manifest of a new batch."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd

from feature_repo.settings import Settings
from holdfast.ingestion.batches import Batch, compute_batch_id
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.ingest_request import IngestRequest
from holdfast.ingestion.reading.source import Source
from holdfast.ingestion.validation import ValidationResult


def build_manifest(
    settings: Settings,
    validated: ValidationResult,
    rows: pd.DataFrame,
    quarantined: pd.DataFrame,
    source: Source,
    mapping: ColumnMapping,
    request: IngestRequest,
    replaced: Sequence[Batch],
    repeats: tuple[str, ...],
) -> Batch:
    """Build the manifest of a batch; it arrives now, unless the request gives a time.

    Args:
        settings: Settings with the data folder.
        validated: Valid and quarantined rows of the source.
        rows: Valid rows that the table does not contain.
        quarantined: Quarantined rows that no batch contains.
        source: Source as read.
        mapping: Column mapping.
        request: Arrival of the batch.
        replaced: Batches that the batch replaces.
        repeats: Ids of the batches with rows that the source repeats.

    Returns:
        Manifest with an id that no batch has.
    """
    ids = tuple(batch.batch_id for batch in replaced)
    first = None if rows.empty else rows["event_timestamp"].min().to_pydatetime()
    return Batch(
        batch_id=_find_free_id(settings, source.sha256, mapping.sha256, ids),
        source=source.name,
        source_sha256=source.sha256,
        mapping_sha256=mapping.sha256,
        ingested_at=request.ingested_at or datetime.now(UTC),
        rows_read=validated.rows_read,
        rows_filtered=validated.rows_filtered,
        rows_from_refunds=validated.rows_from_refunds,
        rows_added=len(rows),
        rows_already_known=len(validated.rows) - len(rows),
        rows_quarantined=len(quarantined),
        rows_already_quarantined=len(validated.quarantine) - len(quarantined),
        first_event=first,
        last_event=None if rows.empty else rows["event_timestamp"].max().to_pydatetime(),
        replaces=ids,
        first_change=min((time for time in (first, *(b.first_event for b in replaced)) if time), default=None),
        repeats=repeats,
        files_sha256=source.files_sha256,
        mapping=mapping.model_dump(mode="json", exclude_defaults=True),
        kind=mapping.kind,
        rows_from_columns=validated.rows_from_columns,
    )


def _find_free_id(settings: Settings, source_sha256: str, mapping_sha256: str, replaces: tuple[str, ...]) -> str:
    """Compute the batch id; a number is added where a batch that is no longer valid has the id."""
    batch_id = compute_batch_id(source_sha256, mapping_sha256, *replaces)
    number = 2
    while (settings.batches / batch_id).exists():
        batch_id = compute_batch_id(source_sha256, mapping_sha256, *replaces, str(number))
        number += 1
    return batch_id
