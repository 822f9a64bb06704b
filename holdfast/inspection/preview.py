"""Preview of an ingest: the rows that it would store and quarantine, without storing any."""

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.flow_breaks import DailyFlow, FlowBreaks, find_breaks
from holdfast.ingestion.parsing.parser import parse_files
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.reading.source import Source
from holdfast.ingestion.validation import validate_source
from holdfast.inspection.source_sample import MAX_EVIDENCE_ROWS, select_rows
from holdfast.training.history import NO_GAPS, PurchaseGaps, ShopHistory

_EXAMPLES = 2
_DAY = 86_400  # seconds
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class QuarantineReason:
    """Reason for quarantine with examples.

    Attributes:
        reason: Reason as stored.
        rows: Number of rows.
        examples: Values of the mapped columns with file and row.
    """

    reason: str
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """Result of reading and validating a source with a mapping.

    Attributes:
        rows_read: Rows of the source.
        transactions: Rows that would be stored.
        reasons: Reasons for quarantine, most frequent first.
        quarantined: Number of rows in quarantine.
        notes: Notes of the ingest.
        refusal: Error with which the ingest would refuse the source; "" without one.
        known: Stored rows of the whole source.
        is_whole: False for a large source, of which a sample is validated.
    """

    rows_read: int = 0
    transactions: pd.DataFrame = field(default_factory=pd.DataFrame)
    reasons: tuple[QuarantineReason, ...] = ()
    quarantined: int = 0
    notes: tuple[str, ...] = ()
    refusal: str = ""
    known: pd.DataFrame = field(default_factory=pd.DataFrame)
    is_whole: bool = True

    @property
    def purchases(self) -> pd.DataFrame:
        """Return the days with a purchase of each customer, each once, sorted."""
        bought = self.known[self.known["amount"] > 0]
        frame = pd.DataFrame(
            {"customer_id": bought["customer_id"], "day": bought["event_timestamp"].dt.tz_localize(None).dt.floor("D")}
        )
        return frame.drop_duplicates().sort_values(["customer_id", "day"])

    def build_history(self) -> ShopHistory:
        """Build the history that a training would read.

        Returns:
            History of the rows that would be stored.
        """
        if self.known.empty:
            return ShopHistory(0, None, None, NO_GAPS)
        purchases = self.purchases
        days = purchases.groupby("customer_id")["day"].diff().dt.days
        gaps = PurchaseGaps.of(purchases["customer_id"][days.notna()].to_numpy(), days.dropna().to_numpy())
        breaks = self._find_breaks()
        first, end = (datetime.fromtimestamp(day * _DAY, UTC) for day in (breaks.begin, breaks.end))
        return ShopHistory(purchases["customer_id"].nunique(), first, end, gaps)

    def find_gaps(self) -> tuple[tuple[date, date], ...]:
        """Find stretches of days without a flow of rows.

        Returns:
            First and last day of each.
        """
        days = [(_EPOCH + timedelta(start), _EPOCH + timedelta(end - 1)) for start, end in self._find_breaks().gaps]
        return tuple(days)

    def _find_breaks(self) -> FlowBreaks:
        days = self.known["event_timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[D]").astype(np.int64)
        frame = pd.DataFrame({"day": days, "customer_id": self.known["customer_id"].array})
        flow = frame.groupby("day")["customer_id"].agg(["nunique", "size"])
        return find_breaks(DailyFlow(flow.index.to_numpy(), flow["nunique"].to_numpy(), flow["size"].to_numpy()))


def preview_ingest(path: Path, mapping: ColumnMapping) -> Preview:
    """Read and validate a source as an ingest does.

    Of a large source, the sampled rows are validated, and the columns of the whole source are parsed.

    Args:
        path: File or folder.
        mapping: Column mapping.

    Returns:
        Rows that would be stored and quarantined, or the refusal.
    """
    try:
        source = read_source(path, mapping)
        is_whole = sum(file.rows.num_rows for file in source.files) <= MAX_EVIDENCE_ROWS
        validated = source if is_whole else replace(source, files=select_rows(source))
        result = validate_source(validated, mapping, datetime.now(UTC))
        known = result.rows if is_whole else _parse_all(source, mapping)
    except IngestError as error:
        return Preview(refusal=str(error))
    return Preview(
        rows_read=result.rows_read,
        transactions=result.rows,
        known=known,
        reasons=_group_reasons(result.quarantine, mapping),
        quarantined=len(result.quarantine),
        notes=result.notes,
        is_whole=is_whole,
    )


def _parse_all(source: Source, mapping: ColumnMapping) -> pd.DataFrame:
    """Parse the whole source; rows with a null and rows after today are left out."""
    frame = pd.concat([rows.frame for rows in parse_files(source.files, mapping).files], ignore_index=True)
    return frame[frame["event_timestamp"] <= pd.Timestamp.now("UTC") + pd.Timedelta(days=1)].dropna()


def _group_reasons(quarantine: pd.DataFrame, mapping: ColumnMapping) -> tuple[QuarantineReason, ...]:
    counts: dict[str, int] = defaultdict(int)
    examples: dict[str, list[str]] = defaultdict(list)
    columns = zip(
        quarantine["source_file"], quarantine["row_number"], quarantine["reasons"], quarantine["raw"], strict=True
    )
    for file, row, reasons, raw in columns:
        for reason in reasons:
            counts[reason] += 1
            if len(examples[reason]) < _EXAMPLES:
                examples[reason].append(f"{_show_values(raw, reason, mapping)} ({file}, row {row})")
    ordered = sorted(counts, key=lambda reason: -counts[reason])
    return tuple(QuarantineReason(reason, counts[reason], tuple(examples[reason])) for reason in ordered)


def _show_values(raw: str, reason: str, mapping: ColumnMapping) -> str:
    """Return the values of the fields that a reason names, else all mapped values, in a few characters."""
    row = json.loads(raw)
    if isinstance(row, str):
        return repr(row[:40].rstrip("\r\n"))
    fields = mapping.columns.by_field
    parts = {"amount": ("amount", "quantity", "unit_price")}
    named = {part for field in (*fields, "amount") if field in reason for part in parts.get(field, (field,))}
    shown = [column for field, column in fields.items() if field in named] or list(fields.values())
    return ", ".join(repr(str(row.get(column, ""))[:30]) for column in shown)
