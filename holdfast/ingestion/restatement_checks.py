"""Checks of the new rows of a source: rows that restate stored rows, and rows of long ago."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from feature_repo.settings import Settings
from holdfast.ingestion.batches import Batch, batch_files, describe_batches
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.corrections import RestatedRowsError, check_coverage
from holdfast.ingestion.ingest_request import IngestRequest
from holdfast.ingestion.kinds import KINDS
from holdfast.ingestion.restatements import Restatement, find_restatement
from holdfast.ingestion.stored_rows import count_missing

_LONG_AGO = timedelta(days=31)


def check_rows(
    settings: Settings,
    rows: pd.DataFrame,
    new: np.ndarray,
    batch: Batch,
    replaced: Sequence[Batch],
    remaining: Sequence[Batch],
    request: IngestRequest,
    spill: Path,
) -> list[str]:
    """Check that a batch neither restates stored rows nor loses rows of the batches it replaces.

    Args:
        settings: Settings with the data folder.
        rows: Valid rows of the source.
        new: Positions of the rows that the table does not contain.
        batch: Manifest of the new batch.
        replaced: Batches to replace.
        remaining: Batches that stay valid, oldest first.
        request: Source, mapping and decisions.
        spill: Folder for DuckDB's temporary files.

    Returns:
        Notes for the person who ingests the source.

    Raises:
        RestatedRowsError: The rows restate stored rows, or a replacement would lose rows; not with ``force``.
    """
    notes = check_coverage(settings, rows, replaced, remaining, request, spill) if replaced else []
    others, missing = _find_other_readings(settings, rows, remaining, batch, spill)
    if others:
        notes.append(_refuse_other_reading(others, remaining, missing, batch, request))
    elif found := find_restatement(KINDS[batch.kind], rows, new, batch_files(settings, remaining), spill):
        note = _refuse_restatement(found, remaining, batch, request)
        notes += [note] if note else []
    if not replaced and batch.kind != "attributes":  # whose times are often long ago
        notes += _note_old_rows(rows, new, remaining)
    return notes


def _find_other_readings(
    settings: Settings, rows: pd.DataFrame, remaining: Sequence[Batch], batch: Batch, spill: Path
) -> tuple[list[Batch], int]:
    """Find the batches of the same bytes, read by another mapping, and count their rows that the new reading lacks."""
    kind = KINDS[batch.kind]
    found, missing = [], 0
    for other in remaining:
        if other.mapping_sha256 == batch.mapping_sha256:
            continue
        if other.source_sha256 == batch.source_sha256 and kind.name == "transactions":
            unmatched = other.rows_added + other.rows_already_known - batch.rows_already_known
        elif other.source_sha256 == batch.source_sha256 or (
            other.files_sha256 and set(other.files_sha256) <= set(batch.files_sha256)  # a file of a folder
        ):
            unmatched = count_missing(kind, rows, batch_files(settings, [other]), spill, same_parts=kind.has_parts)
        else:
            continue
        if unmatched > 0:
            found.append(other)
            missing += unmatched
    return found, missing


def _refuse_other_reading(
    others: Sequence[Batch], remaining: Sequence[Batch], missing: int, batch: Batch, request: IngestRequest
) -> str:
    """Refuse the same bytes read by another mapping.

    Args:
        others: Batches of the same bytes.
        remaining: Batches of the table.
        missing: Number of stored rows that the new reading does not have.
        batch: Manifest of the new reading.
        request: Source, mapping and decisions.

    Returns:
        Note for a forced ingest.

    Raises:
        RestatedRowsError: The ingest is not forced.
    """
    difference = _format_difference(others[-1].mapping, batch.mapping)
    twice = min(missing, batch.rows_added)
    effect = f"{twice:,} rows would be in the table twice" if twice else f"{missing:,} rows would stay in the table"
    if batch.kind == "attributes":
        effect = "values of both readings would be in the table"
    reason = (
        f"{batch.source} is stored in {describe_batches(others)}, read by another mapping{difference}. {missing:,} of "
        f"its rows are not in the new reading: {effect}."
    )
    return _refuse(reason, [*others, *_repeated(others, remaining, batch)], request)


def _refuse_restatement(found: Restatement, remaining: Sequence[Batch], batch: Batch, request: IngestRequest) -> str:
    """Refuse rows that restate stored rows, where the evidence is sufficient.

    Args:
        found: Change that explains the new rows.
        remaining: Batches of the table.
        batch: Manifest of the source.
        request: Source, mapping and decisions.

    Returns:
        Note for rows that are stored in spite of it, or "".

    Raises:
        RestatedRowsError: The evidence is sufficient and the ingest is not forced.
    """
    others = [other for other in remaining if other.batch_id in found.batch_ids]
    stored, new = found.example
    row = "order" if found.column.startswith("lines") else "row"
    one = (
        f"1 new {row} equals a stored {row}" if found.pairs == 1 else f"{found.pairs:,} new {row}s equal stored {row}s"
    )
    reason = (
        f"{batch.source}: {one} of {describe_batches(others)} except for {found.column}, such as stored {stored}; now "
        f"{new}."
    )
    if batch.kind == "attributes":
        if found.is_certain:
            reason += " Most values of this source would be corrections of stored ones, from now on."
            return _refuse(reason, [*others, *_repeated(others, remaining, batch)], request)
        return f"{reason} A correction: the value that arrived last counts from now on."
    reason += f" A restated export changes the past: the earlier and the changed row of one {KINDS[batch.kind].noun} "
    reason += "would be in the table."
    others += _repeated(others, remaining, batch)
    if found.is_certain:
        return _refuse(reason, others, request)
    if found.column == KINDS[batch.kind].part:  # a customer may buy the same in two shops
        return ""
    command = request.format_command([other.batch_id for other in others])
    one = f"one {KINDS[batch.kind].noun}"
    return f"{reason} If it is {one}, replace the earlier row by a source that has all rows:\n  {command}"


def _note_old_rows(rows: pd.DataFrame, new: np.ndarray, remaining: Sequence[Batch]) -> list[str]:
    """Note new rows of long ago, which change the past from now on.

    Rows are of long ago when they are older than the end of the stored data by more than 31 days and more than twice
    the usual lateness of the stored batches.

    Args:
        rows: Valid rows of the source.
        new: Positions of the new rows.
        remaining: Batches of the table, oldest first.

    Returns:
        At most one note.
    """
    end: datetime | None = None
    lateness = []
    for batch in remaining:
        if end is not None and batch.first_event is not None and not batch.replaces:
            lateness.append(max(0.0, (end - batch.first_event).total_seconds()))
        if batch.last_event is not None:
            end = batch.last_event if end is None else max(end, batch.last_event)
    if end is None:
        return []
    usual = timedelta(seconds=median(lateness)) if lateness else timedelta(0)
    times = rows["event_timestamp"].iloc[new]
    old = times[times < pd.Timestamp(end - max(_LONG_AGO, 2 * usual))]
    if old.empty:
        return []
    return [
        f"{len(old):,} new rows are of long ago: {old.min():%Y-%m-%d} to {old.max():%Y-%m-%d}, before the end of the "
        f"stored data on {end.astimezone(UTC):%Y-%m-%d}. Late arrivals and earlier periods are right; rows of a "
        "restated export are in the table twice."
    ]


def _refuse(reason: str, others: Sequence[Batch], request: IngestRequest) -> str:
    if request.force:
        return reason.replace("would be", "are")
    ids = [other.batch_id for other in others]
    named = [*request.replace, *(batch_id for batch_id in ids if batch_id not in request.replace)]
    raise RestatedRowsError(
        f"{reason}\nTo correct the stored rows, replace them with this source; a known_at before the correction "
        f"still gives them:\n  {request.format_command(named)}\n"
        f"To add the rows nevertheless:\n  {request.format_command(request.replace, force=True)}"
    )


def _repeated(others: Sequence[Batch], remaining: Sequence[Batch], batch: Batch) -> list[Batch]:
    """List the batches whose rows the sources of others repeat, directly or through another."""
    ids = {other.batch_id for other in others}
    pending = list(others)
    while pending:
        repeats = set(pending.pop().repeats or ()) - ids
        ids |= repeats
        pending += [other for other in remaining if other.batch_id in repeats]
    return [other for other in remaining if other.batch_id in ids and other not in others]


def _format_difference(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    if before is None or now is None:
        return ""
    old, new = _flatten(before), _flatten(now)
    changes = [
        f"{name} was {old.get(name, _default(name))}, is {new.get(name, _default(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    return f" ({'; '.join(changes)})"


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        elif value is not None:
            flat[f"{prefix}{name}"] = value
    return flat


def _default(name: str) -> Any:
    field = ColumnMapping.model_fields.get(name)
    return field.default if field is not None and field.default is not None else "not set"
