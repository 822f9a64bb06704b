"""Corrections: a source that replaces stored batches, and sources that would have to.

A correction is a batch that names the batches it replaces. Their rows stay in the table for any ``known_at`` before
the arrival of the correction. Rows that a later batch repeated were stored once, in the replaced batch; such a batch
has to be replaced too, or ingested again, which adds the rows that are missing then.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import pandas as pd

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.ingestion.batches import Batch, batch_files, describe_batches, find_successors, select_known
from holdfast.ingestion.ingest_request import IngestRequest
from holdfast.ingestion.kinds import KINDS, KindName
from holdfast.ingestion.stored_rows import count_missing, list_parts

_COVERED = timedelta(days=1)  # a correction of the time zone moves events over the ends of a period


class RestatedRowsError(IngestError):
    """Rows of a source would be in the table twice, or a correction would lose rows."""


def resolve_replaced(batches: Sequence[Batch], names: Iterable[str], kind: KindName) -> list[Batch]:
    """Find the batches to replace by their ids or the beginnings of their ids.

    Args:
        batches: All stored batches, oldest first.
        names: Ids or beginnings.
        kind: Kind of the source that replaces them.

    Returns:
        Valid batches, oldest first, each once.

    Raises:
        IngestError: A name fits no batch or several batches, or its batch was replaced before or has another kind.
    """
    successors = find_successors(batches)
    found = set()
    for name in names:
        fitting = [batch for batch in batches if name and batch.batch_id.startswith(name)]
        if not fitting:
            valid = ", ".join(f"{batch.batch_id} ({batch.source})" for batch in select_known(batches)[-5:])
            raise IngestError(f"No batch {name!r} to replace. The latest batches are: {valid or 'none'}.")
        if len(fitting) > 1:
            ids = ", ".join(batch.batch_id for batch in fitting[:5])
            raise IngestError(f"{len(fitting)} batch ids begin with {name!r}: {ids}. Give more digits.")
        batch_id = fitting[0].batch_id
        if batch_id in successors:
            raise IngestError(
                f"Batch {batch_id} was replaced by batch {successors[batch_id].batch_id} "
                f"({successors[batch_id].source}) before. Replace that one."
            )
        if fitting[0].kind != kind:
            raise IngestError(
                f"Batch {batch_id} ({fitting[0].source}) has {fitting[0].kind}, and this source has {kind}: a source "
                "replaces batches of its kind. Name another batch, or correct `kind` in the mapping."
            )
        found.add(batch_id)
    return [batch for batch in batches if batch.batch_id in found]


def find_correction(
    batches: Sequence[Batch], names: Iterable[str], source_sha256: str, mapping_sha256: str
) -> Batch | None:
    """Find the stored correction that a repeated command would make again.

    Args:
        batches: All stored batches, oldest first.
        names: Ids of the batches to replace, or their beginnings.
        source_sha256: Digest of the source's content.
        mapping_sha256: Digest of the column mapping.

    Returns:
        Valid batch that replaced each of the named ones; None if there is none.
    """
    for batch in select_known(batches):
        if (batch.source_sha256, batch.mapping_sha256) == (source_sha256, mapping_sha256) and all(
            any(batch_id.startswith(name) for batch_id in batch.replaces) for name in names
        ):
            return batch
    return None


def check_coverage(
    settings: Settings,
    rows: pd.DataFrame,
    replaced: Sequence[Batch],
    remaining: Sequence[Batch],
    request: IngestRequest,
    spill: Path,
) -> list[str]:
    """Check that a correction loses no row unnoticed.

    Args:
        settings: Settings with the data folder.
        rows: Valid rows of the source.
        replaced: Batches to replace.
        remaining: Batches that stay valid.
        request: Source, mapping and decisions.
        spill: Folder for DuckDB's temporary files.

    Returns:
        Notes: what is replaced, and what a forced correction loses.

    Raises:
        RestatedRowsError: A replaced batch has rows of days that the source does not cover, or a remaining batch
            repeats rows that would be lost; not with ``force``.
    """
    kind = KINDS[replaced[0].kind]
    ids = [batch.batch_id for batch in replaced]
    stored = sum(batch.rows_added for batch in replaced)
    changed = count_missing(kind, rows, batch_files(settings, replaced), spill)
    notes = [
        f"Replaced {describe_batches(replaced)}: {stored:,} rows, {changed:,} of them are not in this source as they "
        f"were. The source has {len(rows):,} rows. A known_at before this batch still gives the replaced rows."
    ]
    problems = []
    outside = [batch for batch in replaced if batch.rows_added and not _covers(rows, batch)]
    if outside:
        period = f"{_day(rows, 'min')} to {_day(rows, 'max')}" if len(rows) else "no day"
        problems.append(
            f"{request.source.name} has rows of {period}, but {describe_batches(outside)} has rows of "
            f"{min(b.first_event for b in outside if b.first_event):%Y-%m-%d} to "
            f"{max(b.last_event for b in outside if b.last_event):%Y-%m-%d}: the rows of the other days are lost. "
            "Give a source that covers these days as well."
        )
    parts = list_parts(kind, batch_files(settings, replaced), spill) if kind.has_parts else set()
    if (lost := parts - set(rows[kind.part])) and len(lost) > len(set(rows[kind.part]) - parts):  # not only renamed
        problems.append(
            f"{request.source.name} has no row with the {kind.part} {', '.join(map(repr, sorted(lost)))}, and "
            f"{describe_batches(replaced)} has: these rows are lost. Give a source that has them as well."
        )
    repeating = [batch for batch in remaining if set(batch.repeats or ()) & set(ids)]
    if repeating and changed:
        problems.append(
            f"The source of {describe_batches(repeating)} repeats rows of {', '.join(ids)}, which were stored once: "
            "they are lost with it. Replace all of them with a source that has the rows of all:\n  "
            + request.format_command([*ids, *(batch.batch_id for batch in repeating)])
        )
    if problems and not request.force:
        raise RestatedRowsError(
            " ".join(problems) + "\nTo replace nevertheless:\n  " + request.format_command(ids, force=True)
        )
    if repeating and changed:
        problems[-1] = (
            f"The source of {describe_batches(repeating)} repeats rows of {', '.join(ids)}. Ingest it again to add "
            "those that the correction removed."
        )
    return notes + problems


def _covers(rows: pd.DataFrame, batch: Batch) -> bool:
    if rows.empty or batch.first_event is None or batch.last_event is None:
        return False
    start, end = rows["event_timestamp"].min(), rows["event_timestamp"].max()
    return bool(start - _COVERED <= batch.first_event and batch.last_event <= end + _COVERED)


def _day(rows: pd.DataFrame, which: str) -> str:
    return f"{getattr(rows['event_timestamp'], which)():%Y-%m-%d}"
