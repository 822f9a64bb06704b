"""What an ingest reports."""

from dataclasses import dataclass, field
from typing import Literal

from holdfast.ingestion.batches import Batch

IngestStatus = Literal["added", "already ingested", "nothing new"]


@dataclass(frozen=True)
class IngestResult:
    """What a run did. ``rows_read`` is the sum of the four counts after it.

    ``status``: ``added``, a batch was stored; ``already ingested``, this very content and mapping are batch
    ``batch_id``; ``nothing new``, every row is in earlier batches and no batch was stored. ``reasons`` counts
    the bad rows of the source per reason; a source already ingested is not checked again and has none.
    """

    batch_id: str | None
    status: IngestStatus
    rows_read: int
    rows_added: int
    rows_already_known: int
    rows_quarantined: int
    rows_already_quarantined: int
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The five counts by what they count, in words."""
        names = ("rows_read", "rows_added", "rows_already_known", "rows_quarantined", "rows_already_quarantined")
        return {name.replace("_", " "): getattr(self, name) for name in names}

    def summary(self) -> str:
        """One line for people, and one per reason."""
        counts = ", ".join(f"{count:,} {what}" for what, count in self.counts.items())
        reasons = "".join(f"\n  {count:>9,}  {reason}" for reason, count in self.reasons.items())
        return f"{self.status} (batch {self.batch_id or 'none'}): {counts}{reasons}"


def already_ingested(batch: Batch) -> IngestResult:
    """The result for a source whose batch is stored: all it holds is known."""
    return IngestResult(
        batch_id=batch.batch_id,
        status="already ingested",
        rows_read=batch.rows_read,
        rows_added=0,
        rows_already_known=batch.rows_added + batch.rows_already_known,
        rows_quarantined=0,
        rows_already_quarantined=batch.rows_quarantined + batch.rows_already_quarantined,
    )


def committed(batch: Batch, reasons: dict[str, int], stored: bool) -> IngestResult:
    """The result of a commit."""
    return IngestResult(
        batch_id=batch.batch_id if stored else None,
        status="added" if stored else "nothing new",
        rows_read=batch.rows_read,
        rows_added=batch.rows_added,
        rows_already_known=batch.rows_already_known,
        rows_quarantined=batch.rows_quarantined,
        rows_already_quarantined=batch.rows_already_quarantined,
        reasons=reasons,
    )
