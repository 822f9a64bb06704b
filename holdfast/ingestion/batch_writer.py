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
from holdfast.ingestion.batches import (
    MANIFEST,
    Batch,
    compute_batch_id,
    find_batch,
    list_batches,
    select_known,
)
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.corrections import find_correction, resolve_replaced
from holdfast.ingestion.deduplication import QUARANTINE_KEY, find_new_rows, select_new_rows
from holdfast.ingestion.history_extent import describe_changes, read_extent
from holdfast.ingestion.ingest_request import IngestRequest
from holdfast.ingestion.kinds import KINDS
from holdfast.ingestion.reading.source import Source
from holdfast.ingestion.restatement_checks import check_rows
from holdfast.ingestion.results import IngestResult
from holdfast.ingestion.schemas import TABLE_SCHEMAS, TEXT, Quarantine
from holdfast.ingestion.validation import ValidationResult

_LOCK_TIMEOUT_SECONDS = 1800
_STAGED = "ingest-"
_TEXT_COLUMNS = {"customer_id", "batch_id", "source_file", "raw"}
_QUARANTINE = pa.schema(
    [
        ("source_file", pa.string()),
        ("row_number", pa.int64()),
        ("reasons", pa.list_(pa.string())),
        ("raw", pa.string()),
        ("ingested_at", pa.timestamp("us", tz="UTC")),
        ("batch_id", pa.string()),
    ]
)


def commit_batch(
    settings: Settings, validated: ValidationResult, source: Source, mapping: ColumnMapping, request: IngestRequest
) -> IngestResult:
    """Store the new rows of a validated source as a batch, in place of the batches that the request replaces.

    Args:
        settings: Settings with the data folder.
        validated: Valid and quarantined rows of the source.
        source: Source as read.
        mapping: Column mapping.
        request: Paths, arrival (later than that of every batch; default now), batches to replace.

    Returns:
        Counts and status. A batch without new valid or quarantined rows is not stored, except to replace others.

    Raises:
        RestatedRowsError: The rows restate stored rows, or a replacement would lose rows.
        IngestError: A batch to replace does not exist or was replaced, ``ingested_at`` is not later than that of the
            newest batch, or another run holds the lock.
        OSError: The disk is full or failed; nothing is stored.
    """
    with _exclusive(settings) as staging:
        batches = list_batches(settings)
        if request.replace:
            stored = find_correction(batches, request.replace, source.sha256, mapping.sha256)
        else:
            stored = find_batch(settings, source.sha256, mapping.sha256)
        if stored is not None:  # another process stored the source in the meantime, or the command is repeated
            return IngestResult.from_stored(stored)
        replaced = resolve_replaced(batches, request.replace, mapping.kind)
        valid = [batch for batch in select_known(batches) if batch.kind == mapping.kind]
        remaining = [batch for batch in valid if batch not in replaced]
        spill = staging / f"{_STAGED}spill"
        new = select_new_rows(settings, KINDS[mapping.kind], validated.rows, remaining, spill)
        quarantines = [settings.batches / batch.batch_id / "quarantine.parquet" for batch in remaining]
        quarantined = find_new_rows(validated.quarantine, QUARANTINE_KEY, quarantines, spill)
        rows = validated.rows.iloc[new.positions]
        first = None if rows.empty else rows["event_timestamp"].min().to_pydatetime()
        ids = tuple(batch.batch_id for batch in replaced)
        batch = Batch(
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
            repeats=new.repeats,
            files_sha256=source.files_sha256,
            mapping=mapping.model_dump(mode="json", exclude_defaults=True),
            kind=mapping.kind,
            rows_from_columns=validated.rows_from_columns,
        )
        checked = check_rows(settings, validated.rows, new.positions, batch, replaced, remaining, request, spill)
        notes = (*validated.notes, *checked)
        if rows.empty and len(quarantined) == 0 and not replaced:
            return IngestResult.from_commit(batch, validated.reasons, notes, stored=False)
        _require_later(batches, batch.ingested_at)
        folder = staging / f"{_STAGED}{batch.batch_id}"
        extent = read_extent(settings)
        _store(settings, batch, rows, validated.quarantine.iloc[quarantined], folder)
        notes = (*notes, *describe_changes(extent, read_extent(settings)))
        return IngestResult.from_commit(batch, validated.reasons, notes, stored=True)


def _find_free_id(settings: Settings, source_sha256: str, mapping_sha256: str, replaces: tuple[str, ...]) -> str:
    """Compute the batch id; a number is added where a batch that is no longer valid has the id."""
    batch_id = compute_batch_id(source_sha256, mapping_sha256, *replaces)
    number = 2
    while (settings.batches / batch_id).exists():
        batch_id = compute_batch_id(source_sha256, mapping_sha256, *replaces, str(number))
        number += 1
    return batch_id


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


def _require_later(batches: list[Batch], time: datetime) -> None:
    if batches and time <= batches[-1].ingested_at:
        raise IngestError(
            f"ingested_at {time.isoformat()} is not later than {batches[-1].ingested_at.isoformat()}, that of the "
            f"newest batch {batches[-1].batch_id}. Rows that become known in the past would change training sets of an "
            "earlier known_at. Give a later ingested_at, or none for the current time (and check the clock)."
        )


def _store(settings: Settings, batch: Batch, rows: pd.DataFrame, quarantined: pd.DataFrame, folder: Path) -> None:
    kind = KINDS[batch.kind]
    stamp = pd.Timestamp(batch.ingested_at).tz_convert("UTC").as_unit("us")
    folder.mkdir()
    for name, model, schema, frame in (
        (kind.file, TABLE_SCHEMAS[batch.kind], kind.table, rows),
        ("quarantine.parquet", Quarantine, _QUARANTINE, quarantined),
    ):
        stamped = frame.assign(
            ingested_at=pd.Series(stamp, index=frame.index, dtype="datetime64[us, UTC]"), batch_id=batch.batch_id
        ).astype(dict.fromkeys(_TEXT_COLUMNS & {*frame, "batch_id"}, TEXT))
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
