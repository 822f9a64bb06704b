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
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandera.pandas import DataFrameModel

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.core.threads import map_in_threads
from holdfast.ingestion.arrow_columns import as_text
from holdfast.ingestion.batches import (
    MANIFEST,
    Batch,
    find_batch,
    list_batches,
    select_known,
    transaction_files,
)
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.corrections import find_correction, resolve_replaced
from holdfast.ingestion.deduplication import QUARANTINE_KEY, find_new_rows, select_new_rows
from holdfast.ingestion.history_extent import describe_changes
from holdfast.ingestion.ingest_request import IngestRequest
from holdfast.ingestion.kinds import KINDS
from holdfast.ingestion.manifest import build_manifest
from holdfast.ingestion.reading.source import Source
from holdfast.ingestion.restatement_checks import check_rows
from holdfast.ingestion.results import IngestResult
from holdfast.ingestion.schemas import TABLE_SCHEMAS, Quarantine
from holdfast.ingestion.validation import ValidationResult
from holdfast.shared_state.work_locks import BusyError, work_lock

_LOCK_SECONDS = 1800
_STAGED = "ingest-"
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
        rows = _select(validated.rows, new.positions)
        quarantined = _select(
            validated.quarantine, find_new_rows(validated.quarantine, QUARANTINE_KEY, quarantines, spill)
        )
        batch = build_manifest(settings, validated, rows, quarantined, source, mapping, request, replaced, new.repeats)
        checked = check_rows(settings, validated.rows, new.positions, batch, replaced, remaining, request, spill)
        notes = (*validated.notes, *checked)
        if rows.empty and quarantined.empty and not replaced:
            return IngestResult.from_commit(batch, validated.reasons, notes, stored=False)
        _require_later(batches, batch.ingested_at)
        files = transaction_files(settings)
        _store(settings, batch, rows, quarantined, staging / f"{_STAGED}{batch.batch_id}")
        notes = (*notes, *describe_changes(settings, files, rows, [batch, *replaced]))
        return IngestResult.from_commit(batch, validated.reasons, notes, stored=True)


def _select(frame: pd.DataFrame, positions: np.ndarray) -> pd.DataFrame:
    return frame if len(positions) == len(frame) else frame.iloc[positions]


@contextmanager
def _exclusive(settings: Settings) -> Iterator[Path]:
    """Hold the lock of the batches and yield the staging folder, emptied of leftovers of earlier runs."""
    staging = settings.data / "staging"
    for folder in (staging, settings.batches):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with work_lock(settings, "ingest", _LOCK_SECONDS):
            _clear(staging)
            try:
                yield staging
            finally:
                _clear(staging)
    except BusyError as error:
        raise IngestError(f"{error} This ingest has waited {_LOCK_SECONDS} seconds; nothing was stored.") from None


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

    def write(name: str) -> None:
        model, schema, frame = tables[name]
        stamped = frame.assign(
            ingested_at=pd.Series(stamp, index=frame.index, dtype="datetime64[us, UTC]"),
            batch_id=as_text(pa.repeat(batch.batch_id, len(frame))).array,
        )
        model.validate(stamped, lazy=True)
        table = pa.Table.from_pandas(stamped, schema=schema, preserve_index=False).replace_schema_metadata()
        pq.write_table(table, folder / name, compression="zstd")

    tables: dict[str, tuple[type[DataFrameModel], pa.Schema, pd.DataFrame]] = {
        kind.file: (TABLE_SCHEMAS[batch.kind], kind.table, rows),
        "quarantine.parquet": (Quarantine, _QUARANTINE, quarantined),
    }
    map_in_threads(write, tables)
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
