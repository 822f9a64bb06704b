"""Which rows of a source the stored batches already hold.

A table is a multiset: the n-th of equal rows in a source is the n-th of equal rows in the table. A grown, an
overlapping or a re-encoded export therefore adds only what is new, and a real second purchase is kept.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

TRANSACTION_KEY = ("customer_id", "event_timestamp", "amount", "quantity")
QUARANTINE_KEY = ("raw",)


def find_new_rows(frame: pd.DataFrame, key: tuple[str, ...], stored: list[Path], spill: Path) -> np.ndarray:
    """Positions, in order, of the rows that are not in the stored files yet.

    Args:
        key: the columns that make two rows equal.
        stored: Parquet files of all batches.
        spill: folder for DuckDB's temporary files, should the comparison not fit in memory.
    """
    if not stored or frame.empty:
        return np.arange(len(frame))
    import duckdb

    source = pa.Table.from_pandas(frame[list(key)].assign(position=np.arange(len(frame))), preserve_index=False)
    columns = ", ".join(key)
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        connection.register("source", source)
        found = connection.execute(
            f"""
            WITH numbered AS (
                SELECT *, row_number() OVER (PARTITION BY {columns} ORDER BY position) AS nth FROM source
            ), known AS (
                SELECT {columns}, count(*) AS times FROM read_parquet(?) GROUP BY {columns}
            )
            SELECT position FROM numbered LEFT JOIN known USING ({columns})
            WHERE nth > coalesce(times, 0) ORDER BY position
            """,
            [[str(path) for path in stored]],
        ).fetchnumpy()
    return np.asarray(found["position"], dtype=np.int64)
