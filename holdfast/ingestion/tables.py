"""Stored tables as tables of Ibis."""

from datetime import datetime
from typing import TYPE_CHECKING

from feature_repo.settings import Settings
from holdfast.core.parquet_files import scan_parquet_files
from holdfast.ingestion.batches import table_files
from holdfast.ingestion.kinds import KINDS, KindName

if TYPE_CHECKING:
    import ibis
    from ibis.backends.duckdb import Backend


def scan_table(
    backend: "Backend", settings: Settings, kind: KindName = "transactions", known_at: datetime | None = None
) -> "ibis.Table":
    """Open the table of a kind as it was valid at a time.

    Args:
        backend: DuckDB backend of Ibis.
        settings: Settings with the data folder.
        kind: Kind of source.
        known_at: Time at which the rows must be valid; None for the current table.

    Returns:
        Table with the columns of the kind, ``ingested_at`` and ``batch_id``; without rows before the first batch.
    """
    return scan_parquet_files(backend, table_files(settings, kind, known_at), KINDS[kind].table)
