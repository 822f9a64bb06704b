"""Lineage in a few words, for the terminal and for the model card."""

from collections.abc import Sequence
from datetime import datetime

from holdfast.ingestion.batches import Batch
from holdfast.lineage.version_history import History, UsedBatch

_SHOWN_BATCHES = 10


def batch_lines(batches: Sequence[UsedBatch]) -> list[str]:
    """A line per batch; of many, the latest and how many more there are."""
    older, latest = batches[:-_SHOWN_BATCHES], batches[-_SHOWN_BATCHES:]
    lines = [f"batch {batch.batch_id}  {batch_facts(batch.manifest)}" for batch in latest]
    if older:
        rows = sum(batch.manifest.rows_added for batch in older if batch.manifest)
        gone = sum(batch.manifest is None for batch in older)
        told = f"{len(older)} earlier batches, {rows:,} rows"
        lines.insert(0, f"{told}{f', {gone} no longer on disk' if gone else ''} (--json lists all)")
    return lines


def batch_facts(manifest: Batch | None) -> str:
    """A batch in one line."""
    if manifest is None:
        return "no longer on disk"
    events = "no transactions"
    if manifest.first_event and manifest.last_event:
        events = f"{manifest.first_event:%Y-%m-%d} to {manifest.last_event:%Y-%m-%d}"
    return f"{manifest.source}, {manifest.rows_added:,} rows, {events}, arrived {minute(manifest.ingested_at)}"


def code_facts(history: History) -> dict[str, str]:
    """What it was made with."""
    lineage, computed_with = history.lineage, history.arithmetic
    return {
        "git commit": lineage.git_commit,
        "training code": lineage.training_code[:12],
        "lock": lineage.lock[:12],
        "Python": lineage.python,
        **({"arithmetic": str(computed_with)} if computed_with else {}),
    }


def minute(time: datetime) -> str:
    """A moment as people read it."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def span(cutoffs: Sequence[datetime]) -> str:
    """Cut-offs in few words."""
    if not cutoffs:
        return "none"
    return f"{cutoffs[0]:%Y-%m-%d} to {cutoffs[-1]:%Y-%m-%d} ({len(cutoffs)})"
