"""Deduplication of the rows of a source against the stored batches.

A table is a multiset: the n-th of equal rows in a source is the n-th of equal rows in the table. A grown, an
overlapping or a re-encoded export therefore adds only new rows, and a real second purchase is not lost.
"""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from holdfast.core.parquet_files import create_parquet_view

TRANSACTION_KEY = ("customer_id", "event_timestamp", "amount", "quantity")
QUARANTINE_KEY = ("raw",)


def find_new_rows(frame: pd.DataFrame, key: tuple[str, ...], stored: list[Path], spill: Path) -> np.ndarray:
    """Find the rows that the stored files do not contain yet.

    Args:
        frame: Rows of the source.
        key: Columns that make two rows equal.
        stored: Parquet files of all batches.
        spill: Folder for DuckDB's temporary files when the comparison does not fit in memory.

    Returns:
        Positions of the new rows in ``frame``, ascending.
    """
    if not stored or frame.empty:
        return np.arange(len(frame))
    source = pa.Table.from_pandas(frame[list(key)].assign(position=np.arange(len(frame))), preserve_index=False)
    columns = ", ".join(key)
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        connection.register("source", source)
        create_parquet_view(connection, "stored", stored)
        found = connection.execute(
            f"""
            WITH numbered AS (
                SELECT *, row_number() OVER (PARTITION BY {columns} ORDER BY position) AS nth FROM source
            ), known AS (
                SELECT {columns}, count(*) AS times FROM stored GROUP BY {columns}
            )
            SELECT position FROM numbered LEFT JOIN known USING ({columns})
            WHERE nth > coalesce(times, 0) ORDER BY position
            """
        ).fetchnumpy()
    return np.asarray(found["position"], dtype=np.int64)
