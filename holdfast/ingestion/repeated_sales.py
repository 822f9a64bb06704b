"""Files of a folder that hold the same sales, in another notation or with other values in columns that are not mapped.

The reader compares the text of all columns (:mod:`holdfast.ingestion.reading.overlapping_files`). Parsed rows are equal
where a later export has another status, row number or file type.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.overlaps import find_overlaps, hash_rows
from holdfast.ingestion.reading.source import SourceFile

_SALE = ["customer_id", "event_timestamp", "amount", "quantity"]
_LARGE_SHARE = 0.5  # of the smaller file: too much for repeated purchases


def require_distinct_sales(files: Sequence[SourceFile], frames: Sequence[pd.DataFrame], mapping: ColumnMapping) -> None:
    """Require that no file of a folder repeats the sales of another one.

    Args:
        files: Files of the source.
        frames: Valid rows of each file; the index has their positions in the file.
        mapping: Mapping of the source, with the treatment of overlaps.

    Raises:
        IngestError: Three sales in a row, or half of a file with two sales or more, equal those of another file.
    """
    pairs = [pair for pair in zip(files, frames, strict=True) if not pair[0].of_refunds]
    if mapping.overlapping_files == "keep" or len(pairs) < 2:
        return
    pairs = [pairs[position] for position in _find_common_times([frame for _, frame in pairs])]
    hashes = hash_rows([pa.Table.from_pandas(frame[_SALE], preserve_index=False) for _, frame in pairs], _SALE)
    for overlap in find_overlaps(hashes):
        (first, earlier), (second, later) = pairs[overlap.first], pairs[overlap.second]
        sales = later.iloc[overlap.positions]
        share = overlap.rows / min(len(earlier), len(later))
        if not _identifies_sales(sales) or not (overlap.is_consecutive or (overlap.rows > 1 and share >= _LARGE_SHARE)):
            continue
        customer, time, amount = sales.iloc[0][_SALE[:3]]
        row = second.row_numbers[int(sales.index[0])]
        raise IngestError(
            f"{second.name} has {overlap.rows:,} sales of {first.name} again (row {row}: {customer}, "
            f"{time:%Y-%m-%d %H:%M:%S}, {amount:g}): customer, time, amount and quantity are equal, and only other "
            "columns or the notation differ. These sales would count twice. Leave one of the files out with "
            "`exclude_files` in the mapping, or ingest the files one by one, which stores equal sales once; "
            "`overlapping_files: keep` in the mapping reads every file as a whole."
        )


def _find_common_times(frames: Sequence[pd.DataFrame]) -> list[int]:
    """Return the positions of the files whose period overlaps that of another file: only these can share sales."""
    periods = [(frame["event_timestamp"].min(), frame["event_timestamp"].max(), i) for i, frame in enumerate(frames)]
    periods = sorted(period for period in periods if not pd.isna(period[0]))
    found: set[int] = set()
    latest: tuple[pd.Timestamp, int] | None = None
    for begin, end, position in periods:
        if latest is not None and begin <= latest[0]:
            found |= {position, latest[1]}
        if latest is None or end > latest[0]:
            latest = (end, position)
    return sorted(found)


def _identifies_sales(sales: pd.DataFrame) -> bool:
    """Check that the rows have more than a customer and a day, which different events share (one amount for all)."""
    has_times = bool(np.any(sales["event_timestamp"] != sales["event_timestamp"].dt.normalize()))
    return has_times or sales["amount"].nunique() > 1
