"""The stored batches: immutable folders ``data/batches/BATCH_ID``, and how to find and read them.

Each holds ``transactions.parquet``, ``quarantine.parquet`` and its manifest, ``batch.json``.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter

from feature_repo.settings import Settings


@dataclass(frozen=True)
class Batch:
    """The manifest of a batch (``batch.json``). ``rows_read`` is the sum of the four counts after it."""

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


MANIFEST = TypeAdapter(Batch)


def list_batches(settings: Settings) -> list[Batch]:
    """All committed batches, oldest first."""
    batches = [MANIFEST.validate_json(path.read_bytes()) for path in settings.batches.glob("*/batch.json")]
    return sorted(batches, key=lambda batch: batch.ingested_at)


def end_of_data(batches: Sequence[Batch]) -> datetime | None:
    """The UTC midnight after the last event; None without events."""
    last = max((batch.last_event for batch in batches if batch.last_event), default=None)
    if last is None:
        return None
    return last.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def transactions_glob(settings: Settings) -> str:
    """Pattern of the files that make up the transactions table; it matches none before the first batch."""
    return str(settings.batches / "*" / "transactions.parquet")


def compute_batch_id(source_sha256: str, mapping_sha256: str) -> str:
    """The id of the batch that this content, read with this mapping, makes."""
    return hashlib.sha256(f"{source_sha256} {mapping_sha256}".encode()).hexdigest()[:16]


def find_batch(settings: Settings, source_sha256: str, mapping_sha256: str) -> Batch | None:
    """The batch of this very content and mapping, if there is one."""
    path = settings.batches / compute_batch_id(source_sha256, mapping_sha256) / "batch.json"
    return MANIFEST.validate_json(path.read_bytes()) if path.exists() else None
