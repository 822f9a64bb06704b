"""Catalog of the stored batches: immutable folders ``data/batches/BATCH_ID``.

A batch holds the table of its kind (``transactions.parquet``, ``attributes.parquet`` or ``events.parquet``),
``quarantine.parquet`` and its manifest, ``batch.json``.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from feature_repo.settings import Settings
from holdfast.core.path_names import require_path_name
from holdfast.ingestion.kinds import KINDS, KindName


@dataclass(frozen=True)
class Batch:
    """Manifest of a batch (``batch.json``).

    Attributes:
        source: Name of the source file or folder.
        source_sha256: Digest of the source's content.
        mapping_sha256: Digest of the column mapping.
        ingested_at: Time at which the rows became known, UTC.
        rows_read: Rows of the source. Rows read + rows from refunds + rows from columns = added + already known +
            filtered + quarantined + already quarantined.
        first_event: Earliest event of the added rows; None when no row was added.
        last_event: Latest event of the added rows; None when no row was added.
        rows_filtered: Rows that the mapping leaves out.
        rows_from_refunds: Returns from a refund column, in addition to the rows of the source.
        rows_from_columns: Attribute values from further columns of a row, in addition to the rows of the source.
        replaces: Ids of the batches whose rows are no longer valid from ``ingested_at`` on.
        repeats: Ids of the earlier batches with rows that the source repeats; None in batches of before the field.
        files_sha256: Digest of each file of the source.
        mapping: Content of the mapping without defaults; None in batches of before the field.
        first_change: Earliest event of the rows that were added or replaced; None for ``first_event``.
        kind: Kind of source.
    """

    batch_id: str
    source: str
    source_sha256: str
    mapping_sha256: str
    ingested_at: datetime
    rows_read: int
    rows_added: int
    rows_already_known: int
    rows_quarantined: int
    rows_already_quarantined: int
    first_event: datetime | None
    last_event: datetime | None
    rows_filtered: int = 0
    rows_from_refunds: int = 0
    replaces: tuple[str, ...] = ()
    first_change: datetime | None = None
    repeats: tuple[str, ...] | None = None
    files_sha256: tuple[str, ...] = ()
    mapping: dict[str, Any] | None = None
    kind: KindName = "transactions"  # of batches of before the field
    rows_from_columns: int = 0


MANIFEST = TypeAdapter(Batch)


def list_batches(settings: Settings, kind: KindName | None = None) -> list[Batch]:
    """List the stored batches.

    Args:
        settings: Settings with the data folder.
        kind: Kind of source; None for all kinds.

    Returns:
        Batches by ``ingested_at``, oldest first.
    """
    batches = [MANIFEST.validate_json(path.read_bytes()) for path in settings.batches.glob("*/batch.json")]
    for batch in batches:
        require_path_name(batch.batch_id, "batch id")
    batches = [batch for batch in batches if kind in (None, batch.kind)]
    return sorted(batches, key=lambda batch: batch.ingested_at)


def select_known(batches: Sequence[Batch], known_at: datetime | None = None) -> list[Batch]:
    """Select the batches that form the tables at a time.

    A batch is valid from its ``ingested_at`` until the ``ingested_at`` of the batch that replaces it.

    Args:
        batches: All stored batches, oldest first.
        known_at: Time at which the batches must be valid; None for the current table.

    Returns:
        Batches in their order.
    """
    arrived = [batch for batch in batches if known_at is None or batch.ingested_at <= known_at]
    replaced = {batch_id for batch in arrived for batch_id in batch.replaces}
    return [batch for batch in arrived if batch.batch_id not in replaced]


def select_used(batches: Sequence[Batch], as_of: datetime, known_at: datetime) -> list[Batch]:
    """Select the batches with rows before ``as_of`` in the tables at a time.

    Args:
        batches: All stored batches, oldest first.
        as_of: Time before which an event must be.
        known_at: Time at which the batches must be valid.

    Returns:
        Batches in their order.
    """
    known = select_known(batches, known_at)
    return [batch for batch in known if batch.first_event is not None and batch.first_event < as_of]


def find_successors(batches: Iterable[Batch]) -> dict[str, Batch]:
    """Find the batches that replace others.

    Args:
        batches: All stored batches.

    Returns:
        Id of a replaced batch to the batch that replaces it.
    """
    return {batch_id: batch for batch in batches for batch_id in batch.replaces}


def table_files(settings: Settings, kind: KindName, known_at: datetime | None = None) -> list[Path]:
    """List the files of a table at a time.

    Args:
        settings: Settings with the data folder.
        kind: Kind of source.
        known_at: Time at which the rows must be valid; None for the current table.

    Returns:
        Parquet files, oldest batch first; none before the first batch of the kind.
    """
    return batch_files(settings, select_known(list_batches(settings, kind), known_at))


def transaction_files(settings: Settings, known_at: datetime | None = None) -> list[Path]:
    """List the files of the transactions table at a time.

    Args:
        settings: Settings with the data folder.
        known_at: Time at which the rows must be valid; None for the current table.

    Returns:
        Parquet files, oldest batch first; none before the first batch.
    """
    return table_files(settings, "transactions", known_at)


def batch_files(settings: Settings, batches: Iterable[Batch]) -> list[Path]:
    """List the files with the valid rows of batches.

    Args:
        settings: Settings with the data folder.
        batches: Batches.

    Returns:
        Parquet files in the order of the batches.
    """
    return [settings.batches / batch.batch_id / KINDS[batch.kind].file for batch in batches]


def describe_batches(batches: Sequence[Batch]) -> str:
    """Describe batches in a message: the first three by id, source, rows and arrival.

    Args:
        batches: At least one batch.

    Returns:
        Part of a sentence.
    """
    shown = ", ".join(
        f"{batch.batch_id} ({batch.source}, {batch.rows_added:,} rows, arrived {batch.ingested_at:%Y-%m-%d %H:%M})"
        for batch in batches[:3]
    )
    more = f" and {len(batches) - 3} more" if len(batches) > 3 else ""
    return f"batch{'es' if len(batches) > 1 else ''} {shown}{more}"


def compute_batch_id(source_sha256: str, mapping_sha256: str, *additions: str) -> str:
    """Compute the id of the batch of a source and a mapping.

    Args:
        source_sha256: Digest of the source's content.
        mapping_sha256: Digest of the column mapping.
        additions: Ids of replaced batches, or a number where the id is in use.

    Returns:
        16 hexadecimal digits.
    """
    return hashlib.sha256(" ".join((source_sha256, mapping_sha256, *additions)).encode()).hexdigest()[:16]


def find_batch(settings: Settings, source_sha256: str, mapping_sha256: str) -> Batch | None:
    """Find the stored batch of a source and a mapping.

    A batch that was replaced does not count, nor does one that repeats a row of a batch that was replaced later: the
    table may lack that row now.

    Args:
        settings: Settings with the data folder.
        source_sha256: Digest of the source's content.
        mapping_sha256: Digest of the column mapping.

    Returns:
        Batch, or None when the table lacks the source as read by this mapping.
    """
    batches = list_batches(settings)
    replaced = {batch_id for batch in batches for batch_id in batch.replaces}
    for batch in reversed(select_known(batches)):
        same = (batch.source_sha256, batch.mapping_sha256) == (source_sha256, mapping_sha256)
        if same and not replaced & set(batch.repeats or ()):
            return batch
    return None
