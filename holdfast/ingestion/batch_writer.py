"""Store a checked source as one batch, all or nothing.

A batch is written and flushed to disk in ``data/staging``; renaming its folder is the commit. A lock is held from
looking up the rows that are known to that rename, so runs at the same time neither lose nor double a row, and
what a killed run left in staging is removed by the next.
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
from holdfast.ingestion.results import IngestResult, already_ingested, committed
from holdfast.ingestion.schemas import Quarantine, Transactions
from holdfast.ingestion.validation import ValidationResult

LOCK_TIMEOUT_SECONDS = 1800
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
    checked: ValidationResult,
    source: str,
    source_sha256: str,
    mapping_sha256: str,
    ingested_at: datetime | None = None,
) -> IngestResult:
    """Store what is new of a checked source as a batch.

    Args:
        ingested_at: when the rows become known (UTC), default now; it must be later than every batch's.

    Returns:
        What was done. A batch that would add neither a row nor a quarantined row is not stored.

    Raises:
        IngestError: ``ingested_at`` is not later than that of the newest batch, or the lock is not to be had.
        OSError: the disk is full or failed; nothing is stored.
    """
    with _exclusive(settings) as staging:
        stored = find_batch(settings, source_sha256, mapping_sha256)
        if stored is not None:  # another process was first
            return already_ingested(stored)
        moment = ingested_at or datetime.now(UTC)
        spill = staging / f"{_STAGED}spill"
        good = sorted(settings.batches.glob("*/transactions.parquet"))
        bad = sorted(settings.batches.glob("*/quarantine.parquet"))
        rows = checked.transactions.iloc[find_new_rows(checked.transactions, TRANSACTION_KEY, good, spill)]
        held = checked.quarantine.iloc[find_new_rows(checked.quarantine, QUARANTINE_KEY, bad, spill)]
        batch = Batch(
            batch_id=compute_batch_id(source_sha256, mapping_sha256),
            source=source,
            source_sha256=source_sha256,
            mapping_sha256=mapping_sha256,
            ingested_at=moment,
            rows_read=checked.rows_read,
            rows_added=len(rows),
            rows_already_known=len(checked.transactions) - len(rows),
            rows_quarantined=len(held),
            rows_already_quarantined=len(checked.quarantine) - len(held),
            first_event=None if rows.empty else rows["event_timestamp"].min().to_pydatetime(),
            last_event=None if rows.empty else rows["event_timestamp"].max().to_pydatetime(),
        )
        if rows.empty and held.empty:
            return committed(batch, checked.reasons, stored=False)
        _require_later(settings, moment)
        _store(settings, batch, rows, held, staging / f"{_STAGED}{batch.batch_id}")
        return committed(batch, checked.reasons, stored=True)


@contextmanager
def _exclusive(settings: Settings) -> Iterator[Path]:
    """Hold the lock of the batches and yield the staging folder, clear of what earlier runs left there."""
    staging = settings.data / "staging"
    for folder in (staging, settings.batches):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.data / "batches.lock", timeout=LOCK_TIMEOUT_SECONDS):
            _clear(staging)
            try:
                yield staging
            finally:
                _clear(staging)
    except Timeout:
        raise IngestError(
            f"Another ingest has held {settings.data / 'batches.lock'} for {LOCK_TIMEOUT_SECONDS} seconds. "
            "Wait for it or end it, then run this one again."
        ) from None


def _clear(staging: Path) -> None:
    for leftover in staging.glob(f"{_STAGED}*"):
        shutil.rmtree(leftover)


def _require_later(settings: Settings, moment: datetime) -> None:
    batches = list_batches(settings)
    if batches and moment <= batches[-1].ingested_at:
        raise IngestError(
            f"ingested_at {moment.isoformat()} is not later than {batches[-1].ingested_at.isoformat()}, that of the "
            f"newest batch {batches[-1].batch_id}. Rows added in the past would change training sets 'as known "
            "at' a time already used. Give a later ingested_at, or none for now (and check the clock)."
        )


def _store(settings: Settings, batch: Batch, rows: pd.DataFrame, held: pd.DataFrame, folder: Path) -> None:
    stamp = pd.Timestamp(batch.ingested_at).tz_convert("UTC").as_unit("us")
    folder.mkdir()
    for name, contract, schema, frame in (
        ("transactions.parquet", Transactions, _TRANSACTIONS, rows),
        ("quarantine.parquet", Quarantine, _QUARANTINE, held),
    ):
        stamped = frame.assign(
            ingested_at=pd.Series(stamp, index=frame.index, dtype="datetime64[us, UTC]"), batch_id=batch.batch_id
        ).astype({"batch_id": object})
        contract.validate(stamped, lazy=True)
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
