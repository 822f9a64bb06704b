"""Rows by day of each source: a source of transactions, an attribute, or a kind of event."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import duckdb
import pandas as pd

from feature_repo.settings import Settings
from holdfast.core.parquet_files import create_parquet_view
from holdfast.ingestion.batches import Batch, batch_files, list_batches, select_known
from holdfast.ingestion.kinds import KINDS, KindName
from holdfast.monitoring.data_quality.queries import DailyCounts
from holdfast.monitoring.window import Window

PARTS: dict[KindName, str] = {"transactions": "source", "attributes": "attribute", "events": "kind of event"}
_NOUNS: dict[KindName, str] = {"transactions": "transaction", "attributes": "attribute value", "events": "event"}


@dataclass(frozen=True)
class SourceFlow:
    """Rows by day of one part of a table, or of a table with several parts.

    Attributes:
        part: Source of transactions, attribute or kind of event; None for the whole table.
        days: Rows by day.
        file: Name of the file or folder with the newest row.
    """

    kind: KindName
    part: str | None
    days: DailyCounts
    file: str

    @property
    def subject(self) -> str:
        """Return the subject of metrics and findings."""
        return part_subject(self.kind, self.part)

    @property
    def noun(self) -> str:
        """Return a row of this flow in a sentence."""
        noun = _NOUNS[self.kind]
        return noun if self.part is None else f"{noun} of {PARTS[self.kind]} {self.part!r}"


def part_subject(kind: KindName, part: str | None) -> str:
    """Return the subject of a part of a table.

    Args:
        kind: Kind of source.
        part: Source of transactions, attribute or kind of event; None for the whole table.

    Returns:
        ``events[ticket]``, or ``events``.
    """
    return kind if part is None else f"{kind}[{part}]"


def list_flows(settings: Settings, window: Window, day: date, weeks: int) -> list[SourceFlow]:
    """List the flows that are checked beside the transactions as a whole.

    A table with several parts has a flow for itself and one for each part; the transactions as a whole are left out,
    and a table with one part has the flow of that part only.

    Args:
        settings: Settings with the batches' folder.
        window: Monitoring window; rows that arrived after its ``known_at`` are ignored.
        day: Checked day.
        weeks: Weeks of history before the newest row of a flow.

    Returns:
        Flows by subject; none of a part without rows by the end of the day.
    """
    flows = [flow for kind in KINDS for flow in _list_flows(settings, window, day, weeks, kind)]
    return sorted(flows, key=lambda flow: flow.subject)


def find_parts(settings: Settings, batches: list[Batch]) -> dict[str, Batch]:
    """Find the parts of a table that batches have.

    Args:
        settings: Settings with the batches' folder.
        batches: Batches of one kind.

    Returns:
        Part to the first batch with it.
    """
    if not batches:
        return {}
    by_id, kind = {batch.batch_id: batch for batch in batches}, KINDS[batches[0].kind]
    with duckdb.connect() as connection:
        create_parquet_view(connection, "stored", batch_files(settings, batches), kind.table)
        rows = connection.execute(
            f"SELECT {kind.part}, arg_min(batch_id, ingested_at) FROM stored WHERE {kind.part} IS NOT NULL "
            "GROUP BY 1 ORDER BY 1"
        ).fetchall()
    return {part: by_id[batch_id] for part, batch_id in rows}


def _list_flows(settings: Settings, window: Window, day: date, weeks: int, kind: KindName) -> Iterator[SourceFlow]:
    batches = select_known(list_batches(settings, kind), window.known_at)
    rows = _count_rows(settings, batches, day, kind)
    files = {batch.batch_id: batch.source for batch in batches}
    has_several = rows["part"].nunique(dropna=False) > 1
    if has_several and kind != "transactions":
        yield _build_flow(kind, None, rows, day, weeks, files)
    for part in rows["part"].dropna().unique() if has_several or kind != "transactions" else ():
        yield _build_flow(kind, part, rows[rows["part"] == part], day, weeks, files)


def _count_rows(settings: Settings, batches: list[Batch], day: date, kind: KindName) -> pd.DataFrame:
    """Count the rows by part and day up to the checked day, with the newest row and its batch."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_parquet_view(connection, "stored", batch_files(settings, batches), KINDS[kind].table)
        return connection.execute(
            f"SELECT {KINDS[kind].part} AS part, CAST(event_timestamp AS DATE) AS day, count(*) AS rows, "
            "max(event_timestamp) AS newest, arg_max(batch_id, event_timestamp) AS batch FROM stored "
            "WHERE CAST(event_timestamp AS DATE) <= $day GROUP BY ALL ORDER BY day, part",
            {"day": day},
        ).df()


def _build_flow(
    kind: KindName, part: str | None, rows: pd.DataFrame, day: date, weeks: int, files: dict[str, str]
) -> SourceFlow:
    """Build the days from some weeks before the newest row on: attributes may be valid since long ago."""
    newest = rows.loc[rows["newest"].idxmax()]
    recent = rows[rows["day"] > newest["day"] - timedelta(weeks=weeks + 1)]
    by_day = recent.groupby(recent["day"].dt.date)["rows"].sum()
    counts = by_day.reindex(pd.date_range(by_day.index[0], day).date, fill_value=0)
    time_of_newest: datetime = newest["newest"].to_pydatetime()
    return SourceFlow(kind, part, DailyCounts(day, counts, time_of_newest), files[str(newest["batch"])])
