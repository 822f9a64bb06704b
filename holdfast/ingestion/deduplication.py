"""Deduplication of the rows of a source against the stored batches.

A table is a multiset: the n-th of equal rows in a source is the n-th of equal rows in the table. A grown, an
overlapping or a re-encoded export therefore adds only new rows, and a real second purchase is not lost. Of attributes,
changes of a value are new (:mod:`holdfast.ingestion.attribute_changes`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from feature_repo.settings import Settings
from holdfast.core.parquet_files import create_parquet_view
from holdfast.ingestion.attribute_changes import find_changes
from holdfast.ingestion.batches import Batch, batch_files
from holdfast.ingestion.kinds import Kind
from holdfast.ingestion.stored_rows import find_repeated_batches, match_columns

QUARANTINE_KEY = ("raw",)


@dataclass(frozen=True)
class NewRows:
    """Rows of a source that the table does not contain.

    Attributes:
        positions: Their positions among the rows of the source, ascending.
        repeats: Ids of the batches with rows that the source repeats.
    """

    positions: np.ndarray
    repeats: tuple[str, ...]


def select_new_rows(
    settings: Settings, kind: Kind, rows: pd.DataFrame, remaining: Sequence[Batch], spill: Path
) -> NewRows:
    """Select the rows of a source that the table of its kind does not contain.

    Args:
        settings: Settings with the data folder.
        kind: Kind of source.
        rows: Valid rows of the source.
        remaining: Batches of the kind that stay valid.
        spill: Folder for DuckDB's temporary files.

    Returns:
        New rows.
    """
    with_rows = [batch for batch in remaining if batch.rows_added]
    files = batch_files(settings, with_rows)
    if kind.name == "attributes":
        return NewRows(*find_changes(rows, files, spill))
    new = find_new_rows(rows, kind.key, files, spill, kind.table)
    known = len(rows) - len(new)
    if known in (0, sum(batch.rows_added for batch in with_rows)):  # no query where it repeats no row, or all
        return NewRows(new, tuple(batch.batch_id for batch in with_rows) if known else ())
    return NewRows(new, find_repeated_batches(kind, rows, files, spill))


def find_new_rows(
    frame: pd.DataFrame, key: tuple[str, ...], stored: list[Path], spill: Path, schema: pa.Schema | None = None
) -> np.ndarray:
    """Find the rows that the stored files do not contain yet.

    Args:
        frame: Rows of the source.
        key: Columns that make two rows equal; nulls are equal.
        stored: Parquet files of all batches.
        spill: Folder for DuckDB's temporary files when the comparison does not fit in memory.
        schema: Columns of the stored table; default those of the files.

    Returns:
        Positions of the new rows in ``frame``, ascending.
    """
    if not stored or frame.empty:
        return np.arange(len(frame))
    source = pa.Table.from_pandas(frame[list(key)].assign(position=np.arange(len(frame))), preserve_index=False)
    columns = ", ".join(key)
    # The stored rows that the source does not have are neither grouped nor, outside its period, read.
    times = "SELECT {}(event_timestamp) FROM source"
    period = f" WHERE event_timestamp BETWEEN ({times.format('min')}) AND ({times.format('max')})"
    period = period if "event_timestamp" in key else ""
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        connection.register("source", source)
        create_parquet_view(connection, "stored", stored, schema)
        found = connection.execute(
            f"""
            WITH numbered AS (
                SELECT *, row_number() OVER (PARTITION BY {columns} ORDER BY position) AS nth FROM source
            ), known AS (
                SELECT {columns}, count(*) AS times FROM stored
                SEMI JOIN source ON {match_columns("stored", "source", key)}{period} GROUP BY {columns}
            )
            SELECT position FROM numbered LEFT JOIN known ON {match_columns("numbered", "known", key)}
            WHERE nth > coalesce(times, 0) ORDER BY position
            """
        ).fetchnumpy()
    return np.asarray(found["position"], dtype=np.int64)
