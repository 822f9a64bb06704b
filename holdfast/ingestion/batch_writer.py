"""Atomic storage of a validated source as one batch.

A batch is written and flushed to disk in ``data/staging``; renaming its folder is the commit. A lock is held from the
lookup of the known rows to that rename, so concurrent runs neither lose nor duplicate a row. The next run removes what
a killed run left in staging.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.ingestion.batches import MANIFEST, Batch, compute_batch_id, find_batch, list_batches
from holdfast.ingestion.deduplication import QUARANTINE_KEY, TRANSACTION_KEY, find_new_rows
from holdfast.ingestion.results import IngestResult
from holdfast.ingestion.schemas import Quarantine, Transactions
from holdfast.ingestion.validation import ValidationResult

_LOCK_TIMEOUT_SECONDS = 1800
_STAGED = "ingest-"
_UTC = pa.timestamp("us", tz="UTC")
_TRANSACTIONS = pa.schema(
    [
        ("customer_id", pa.string()),
        ("event_timestamp", _UTC),
        ("amount", pa.float64()),
        ("quantity", pa.float64()),
        ("ingested_at", _UTC),
        ("batch_id", pa.string()),
    ]
)
_QUARANTINE = pa.schema(
    [
        ("source_file", pa.string()),
        ("row_number", pa.int64()),
        ("reasons", pa.list_(pa.string())),
        ("raw", pa.string()),
        ("ingested_at", _UTC),
        ("batch_id", pa.string()),
    ]
)


def commit_batch(
    settings: Settings,
    validated: ValidationResult,
    source: str,
    source_sha256: str,
    mapping_sha256: str,
    ingested_at: datetime | None = None,
) -> IngestResult:
    """Store the new rows of a validated source as a batch.

    Args:
        settings: Settings with the data folder.
        validated: Valid and quarantined rows of the source.
        source: Name of the source.
        source_sha256: Digest of the source's content.
        mapping_sha256: Digest of the column mapping.
        ingested_at: Time at which the rows become known (UTC), later than that of every batch; default now.

    Returns:
        Counts and status. A batch without new valid or quarantined rows is not stored.

    Raises:
        IngestError: ``ingested_at`` is not later than that of the newest batch, or another run holds the lock.
        OSError: The disk is full or failed; nothing is stored.
    """
    with _exclusive(settings) as staging:
        stored = find_batch(settings, source_sha256, mapping_sha256)
        if stored is not None:  # another process stored the source in the meantime
            return IngestResult.from_stored(stored)
        time = ingested_at or datetime.now(UTC)
        spill = staging / f"{_STAGED}spill"
        rows, quarantined = (
            frame.iloc[find_new_rows(frame, key, sorted(settings.batches.glob(f"*/{name}")), spill)]
            for frame, key, name in (
                (validated.transactions, TRANSACTION_KEY, "transactions.parquet"),
                (validated.quarantine, QUARANTINE_KEY, "quarantine.parquet"),
            )
        )
        batch = Batch(
            batch_id=compute_batch_id(source_sha256, mapping_sha256),
            source=source,
            source_sha256=source_sha256,
            mapping_sha256=mapping_sha256,
            ingested_at=time,
            rows_read=validated.rows_read,
            rows_filtered=validated.rows_filtered,
            rows_from_refunds=validated.rows_from_refunds,
            rows_added=len(rows),
            rows_already_known=len(validated.transactions) - len(rows),
            rows_quarantined=len(quarantined),
            rows_already_quarantined=len(validated.quarantine) - len(quarantined),
            first_event=None if rows.empty else rows["event_timestamp"].min().to_pydatetime(),
            last_event=None if rows.empty else rows["event_timestamp"].max().to_pydatetime(),
        )
        if rows.empty and quarantined.empty:
            return IngestResult.from_commit(batch, validated.reasons, validated.notes, stored=False)
        _require_later(settings, time)
        _store(settings, batch, rows, quarantined, staging / f"{_STAGED}{batch.batch_id}")
        return IngestResult.from_commit(batch, validated.reasons, validated.notes, stored=True)


@contextmanager
def _exclusive(settings: Settings) -> Iterator[Path]:
    """Hold the lock of the batches and yield the staging folder, emptied of leftovers of earlier runs."""
    staging = settings.data / "staging"
    for folder in (staging, settings.batches):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.data / "batches.lock", timeout=_LOCK_TIMEOUT_SECONDS):
            _clear(staging)
            try:
                yield staging
            finally:
                _clear(staging)
    except Timeout:
        raise IngestError(
            f"Another ingest has held {settings.data / 'batches.lock'} for {_LOCK_TIMEOUT_SECONDS} seconds. "
            "Wait for it to end, or stop it, then run this one again."
        ) from None


def _clear(staging: Path) -> None:
    for leftover in staging.glob(f"{_STAGED}*"):
        shutil.rmtree(leftover)


def _require_later(settings: Settings, time: datetime) -> None:
    batches = list_batches(settings)
    if batches and time <= batches[-1].ingested_at:
        raise IngestError(
            f"ingested_at {time.isoformat()} is not later than {batches[-1].ingested_at.isoformat()}, that of the "
            f"newest batch {batches[-1].batch_id}. Rows that become known in the past would change training sets of an "
            "earlier known_at. Give a later ingested_at, or none for the current time (and check the clock)."
        )


def _store(settings: Settings, batch: Batch, rows: pd.DataFrame, quarantined: pd.DataFrame, folder: Path) -> None:
    stamp = pd.Timestamp(batch.ingested_at).tz_convert("UTC").as_unit("us")
    folder.mkdir()
    for name, model, schema, frame in (
        ("transactions.parquet", Transactions, _TRANSACTIONS, rows),
        ("quarantine.parquet", Quarantine, _QUARANTINE, quarantined),
    ):
        stamped = frame.assign(
            ingested_at=pd.Series(stamp, index=frame.index, dtype="datetime64[us, UTC]"), batch_id=batch.batch_id
        ).astype({"batch_id": object})
        model.validate(stamped, lazy=True)
        table = pa.Table.from_pandas(stamped, schema=schema, preserve_index=False).replace_schema_metadata()
        pq.write_table(table, folder / name, compression="zstd")
    manifest = json.dumps(json.loads(MANIFEST.dump_json(batch)), indent=2) + "\n"
    (folder / "batch.json").write_text(manifest, encoding="utf-8")
    for path in (*sorted(folder.iterdir()), folder):
        _flush(path)
    folder.rename(settings.batches / batch.batch_id)  # the commit
    _flush(settings.batches)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
