"""Result of an ingest run."""

from dataclasses import dataclass, field
from typing import Literal, Self

from holdfast.ingestion.batches import Batch
from holdfast.ingestion.kinds import KindName

IngestStatus = Literal["added", "already ingested", "nothing new"]


@dataclass(frozen=True)
class IngestResult:
    """Counts and status of an ingest run.

    Attributes:
        batch_id: Stored batch; None when no batch was stored.
        status: ``added``: a batch was stored; ``already ingested``: batch ``batch_id`` has the same content and
            mapping; ``nothing new``: every row is in earlier batches and no batch was stored.
        rows_read: Rows of the source. Rows read + rows from refunds + rows from columns = added + already known +
            filtered + quarantined + already quarantined.
        reasons: Bad rows of the source per reason; empty for a source that is already ingested, which is not validated
            again.
        notes: Sentences for the person who ingests the source.
        rows_filtered: Rows that the mapping leaves out.
        rows_from_refunds: Returns from a refund column, in addition to the rows of the source.
        rows_from_columns: Attribute values from further columns of a row, in addition to the rows of the source.
        replaces: Ids of the batches that the stored batch replaces.
        kind: Kind of source.
    """

    batch_id: str | None
    status: IngestStatus
    rows_read: int
    rows_added: int
    rows_already_known: int
    rows_quarantined: int
    rows_already_quarantined: int
    reasons: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rows_filtered: int = 0
    rows_from_refunds: int = 0
    rows_from_columns: int = 0
    replaces: tuple[str, ...] = ()
    kind: KindName = "transactions"

    @property
    def counts(self) -> dict[str, int]:
        """Return the counts by name in words; those of rows filtered and of additional rows only where not 0."""
        names = ["rows_read", "rows_added", "rows_already_known", "rows_quarantined", "rows_already_quarantined"]
        names += [name for name in ("rows_filtered", "rows_from_refunds", "rows_from_columns") if getattr(self, name)]
        return {name.replace("_", " "): getattr(self, name) for name in names}

    def summary(self) -> str:
        """Format the result as one line, one line per reason and one per note.

        Returns:
            Text for the command line.
        """
        counts = ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
        reasons = "".join(f"\n  {count:>9,}  {reason}" for reason, count in self.reasons.items())
        notes = "".join(f"\n  {note}" for note in self.notes)
        kind = "" if self.kind == "transactions" else f"{self.kind} "
        return f"{kind}{self.status} (batch {self.batch_id or 'none'}): {counts}{reasons}{notes}"

    @classmethod
    def from_stored(cls, batch: Batch, notes: tuple[str, ...] = ()) -> Self:
        """Build the result for a source whose batch is stored: all its rows are known.

        Args:
            batch: Batch of the same content and mapping.
            notes: Sentences for the person who ingests the source.

        Returns:
            Result with status ``already ingested``.
        """
        return cls(
            batch_id=batch.batch_id,
            status="already ingested",
            rows_read=batch.rows_read,
            rows_added=0,
            rows_already_known=batch.rows_added + batch.rows_already_known,
            rows_quarantined=0,
            rows_already_quarantined=batch.rows_quarantined + batch.rows_already_quarantined,
            rows_filtered=batch.rows_filtered,
            rows_from_refunds=batch.rows_from_refunds,
            rows_from_columns=batch.rows_from_columns,
            kind=batch.kind,
            notes=notes,
        )

    @classmethod
    def from_commit(cls, batch: Batch, reasons: dict[str, int], notes: tuple[str, ...], stored: bool) -> Self:
        """Build the result of a commit.

        Args:
            batch: Manifest of the batch.
            reasons: Bad rows of the source per reason.
            notes: Sentences for the person who ingests the source.
            stored: False when the batch had no new rows and was not stored.

        Returns:
            Result with status ``added`` or ``nothing new``.
        """
        return cls(
            batch_id=batch.batch_id if stored else None,
            status="added" if stored else "nothing new",
            rows_read=batch.rows_read,
            rows_added=batch.rows_added,
            rows_already_known=batch.rows_already_known,
            rows_quarantined=batch.rows_quarantined,
            rows_already_quarantined=batch.rows_already_quarantined,
            rows_filtered=batch.rows_filtered,
            rows_from_refunds=batch.rows_from_refunds,
            rows_from_columns=batch.rows_from_columns,
            kind=batch.kind,
            reasons=reasons,
            notes=notes,
            replaces=batch.replaces,
        )
