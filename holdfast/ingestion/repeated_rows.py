"""Files of a folder that hold the same sales or events, in another notation or with other columns that are not mapped.

The reader compares the text of all columns (:mod:`holdfast.ingestion.reading.overlapping_files`). Parsed rows are equal
where a later export has another status, row number or file type.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.kinds import KINDS
from holdfast.ingestion.reading.overlaps import find_overlaps, hash_rows
from holdfast.ingestion.reading.source import SourceFile

_NUMBER = {"transactions": "amount", "events": "value"}  # column that differs between rows of one day
_LARGE_SHARE = 0.5  # of the smaller file: too much for repeated purchases


def require_distinct_rows(files: Sequence[SourceFile], frames: Sequence[pd.DataFrame], mapping: ColumnMapping) -> None:
    """Require that no file of a folder repeats the rows of another one; repeated attributes add nothing.

    Args:
        files: Files of the source.
        frames: Valid rows of each file; the index has their positions in the file.
        mapping: Mapping of the source, with the treatment of overlaps.

    Raises:
        IngestError: Three rows one behind the other, or half of a file with two rows or more, equal those of another.
    """
    pairs = [pair for pair in zip(files, frames, strict=True) if not pair[0].of_refunds]
    if mapping.overlapping_files == "keep" or mapping.kind == "attributes" or len(pairs) < 2:
        return
    kind, number = KINDS[mapping.kind], _NUMBER[mapping.kind]
    pairs = [pairs[position] for position in _find_common_times([frame for _, frame in pairs])]
    key = list(kind.key)
    hashes = hash_rows([pa.Table.from_pandas(frame[key], preserve_index=False) for _, frame in pairs], key)
    for overlap in find_overlaps(hashes):
        (first, earlier), (second, later) = pairs[overlap.first], pairs[overlap.second]
        rows = later.iloc[overlap.positions]
        share = overlap.rows / min(len(earlier), len(later))
        is_large = overlap.is_consecutive or (overlap.rows > 1 and share >= _LARGE_SHARE)
        if not _identifies_rows(rows, number) or not is_large:
            continue
        customer, time, value = rows.iloc[0][["customer_id", "event_timestamp", number]]
        row = second.row_numbers[int(rows.index[0])]
        fields = [name for name in key if name in mapping.columns.by_field or name not in kind.optional]
        raise IngestError(
            f"{second.name} has {overlap.rows:,} {kind.noun}s of {first.name} again (row {row}: {customer}, "
            f"{time:%Y-%m-%d %H:%M:%S}, {value:g}): {', '.join(fields[:-1])} and {fields[-1]} are equal, and only "
            f"other columns or the notation differ. They would count twice. Leave one of the files out with "
            f"`exclude_files` in the mapping, or ingest the files one by one, which stores equal rows once; "
            "`overlapping_files: keep` in the mapping reads every file as a whole."
        )


def _find_common_times(frames: Sequence[pd.DataFrame]) -> list[int]:
    """Return the positions of the files whose period overlaps that of another file: only these can share rows."""
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


def _identifies_rows(rows: pd.DataFrame, number: str) -> bool:
    """Check that the rows have more than a customer and a day, which different events share (one amount for all)."""
    has_times = bool(np.any(rows["event_timestamp"] != rows["event_timestamp"].dt.normalize()))
    return has_times or rows[number].nunique() > 1
