"""Changes of attributes: rows that state a value other than the one that is valid, and contradictions of a source.

A row is the begin of a value. A row that repeats the value valid at its time adds nothing, so that a transaction export
with the country on each line gives one row per move. A row of an earlier time is valid until the next stored change.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from holdfast.core.parquet_files import create_parquet_view
from holdfast.ingestion.kinds import KINDS
from holdfast.ingestion.reading.source import RowIssue

_ATTRIBUTES = KINDS["attributes"]
_SERIES = ["customer_id", "attribute", "event_timestamp"]
# Each distinct row of the source beside the row before it: of the stored rows of one time, the one that arrived last.
_COMPARE = """
    CREATE TEMP TABLE compared AS
    WITH timeline AS (
        SELECT customer_id, attribute, event_timestamp, value, epoch_us(ingested_at) AS arrival, batch_id,
            NULL::BIGINT AS position
        FROM stored SEMI JOIN source USING (customer_id, attribute)
        UNION ALL
        SELECT customer_id, attribute, event_timestamp, value, 9223372036854775807, NULL, min(position)
        FROM source GROUP BY ALL
    )
    SELECT position, lag(batch_id) OVER in_time AS earlier_batch,
        row_number() OVER in_time > 1 AND value IS NOT DISTINCT FROM lag(value) OVER in_time AS is_repeated
    FROM timeline WINDOW in_time AS (PARTITION BY customer_id, attribute ORDER BY event_timestamp, arrival)
"""


def find_changes(frame: pd.DataFrame, stored: Sequence[Path], spill: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Find the rows that change a value.

    Args:
        frame: Attributes of the source.
        stored: Parquet files of the table.
        spill: Folder for DuckDB's temporary files.

    Returns:
        Positions of these rows in ``frame``, ascending; and the ids of the batches whose values the others repeat.
    """
    if frame.empty:
        return np.arange(0), ()
    source = frame[list(_ATTRIBUTES.key)].assign(position=np.arange(len(frame)))
    with duckdb.connect(config={"temp_directory": str(spill)}) as connection:
        connection.register("source", pa.Table.from_pandas(source, preserve_index=False))
        create_parquet_view(connection, "stored", stored, _ATTRIBUTES.table)
        connection.execute(_COMPARE)
        of_source = "FROM compared WHERE position IS NOT NULL AND"
        new = connection.execute(f"SELECT position {of_source} NOT is_repeated ORDER BY position").fetchnumpy()
        repeated = connection.execute(
            f"SELECT DISTINCT earlier_batch {of_source} is_repeated AND earlier_batch IS NOT NULL ORDER BY 1"
        ).fetchall()
    return np.asarray(new["position"], dtype=np.int64), tuple(row[0] for row in repeated)


def add_contradictions(frames: Sequence[pd.DataFrame], issues: Sequence[list[RowIssue]], sizes: Sequence[int]) -> None:
    """Add an issue for rows that state several values of one attribute of a customer at one time.

    Neither row is known to be right, and files have no order in time, so that each goes to quarantine.

    Args:
        frames: Attributes of each file of a source; the index has the positions of the file's rows.
        issues: Issues of each file, to which the new ones are added; rows with an issue contradict no other.
        sizes: Rows of each file.
    """
    parts = []
    for number, (frame, found, size) in enumerate(zip(frames, issues, sizes, strict=True)):
        is_bad = np.logical_or.reduce([issue.rows for issue in found]) if found else np.zeros(size, dtype=bool)
        good = frame[~is_bad[frame.index]]
        parts.append(good.assign(file=number, row=good.index))
    rows = pd.concat(parts, ignore_index=True)
    distinct = rows.drop_duplicates([*_SERIES, "value"])
    contradicted = distinct.loc[distinct.duplicated(_SERIES, keep=False), _SERIES].drop_duplicates()
    if contradicted.empty:
        return
    affected = rows.merge(contradicted, on=_SERIES)
    for number, attribute in affected[["file", "attribute"]].drop_duplicates().itertuples(index=False):
        mask = np.zeros(sizes[number], dtype=bool)
        mask[affected.loc[(affected["file"] == number) & (affected["attribute"] == attribute), "row"]] = True
        issues[number].append(RowIssue(f"{attribute} has several values for the customer at this time", mask))
