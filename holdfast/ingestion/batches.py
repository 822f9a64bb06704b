"""Catalog of the stored batches: immutable folders ``data/batches/BATCH_ID``.

A batch holds ``transactions.parquet``, ``quarantine.parquet`` and its manifest, ``batch.json``.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter

from feature_repo.settings import Settings


@dataclass(frozen=True)
class Batch:
    """Manifest of a batch (``batch.json``).

    Attributes:
        source: Name of the source file or folder.
        source_sha256: Digest of the source's content.
        mapping_sha256: Digest of the column mapping.
        ingested_at: Time at which the rows became known, UTC.
        rows_read: Rows of the source. Rows read + rows from refunds = added + already known + filtered + quarantined +
            already quarantined.
        first_event: Earliest event of the added rows; None when no row was added.
        last_event: Latest event of the added rows; None when no row was added.
        rows_filtered: Rows that the mapping leaves out.
        rows_from_refunds: Returns from a refund column, in addition to the rows of the source.
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


MANIFEST = TypeAdapter(Batch)


def list_batches(settings: Settings) -> list[Batch]:
    """List all stored batches.

    Args:
        settings: Settings with the data folder.

    Returns:
        Batches by ``ingested_at``, oldest first.
    """
    batches = [MANIFEST.validate_json(path.read_bytes()) for path in settings.batches.glob("*/batch.json")]
    return sorted(batches, key=lambda batch: batch.ingested_at)


def end_of_data(batches: Sequence[Batch]) -> datetime | None:
    """Return the UTC midnight after the last event.

    Args:
        batches: Batches to search.

    Returns:
        Midnight in UTC; None without events.
    """
    last = max((batch.last_event for batch in batches if batch.last_event), default=None)
    if last is None:
        return None
    return last.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def transactions_glob(settings: Settings) -> str:
    """Return the glob pattern of the files of the transactions table.

    Args:
        settings: Settings with the data folder.

    Returns:
        Pattern, which matches no file before the first batch.
    """
    return str(settings.batches / "*" / "transactions.parquet")


def compute_batch_id(source_sha256: str, mapping_sha256: str) -> str:
    """Compute the id of the batch of a source and a mapping.

    Args:
        source_sha256: Digest of the source's content.
        mapping_sha256: Digest of the column mapping.

    Returns:
        16 hexadecimal digits.
    """
    return hashlib.sha256(f"{source_sha256} {mapping_sha256}".encode()).hexdigest()[:16]


def find_batch(settings: Settings, source_sha256: str, mapping_sha256: str) -> Batch | None:
    """Find the stored batch of a source and a mapping.

    Args:
        settings: Settings with the data folder.
        source_sha256: Digest of the source's content.
        mapping_sha256: Digest of the column mapping.

    Returns:
        Batch, or None when the source was not ingested with this mapping.
    """
    path = settings.batches / compute_batch_id(source_sha256, mapping_sha256) / "batch.json"
    return MANIFEST.validate_json(path.read_bytes()) if path.exists() else None
