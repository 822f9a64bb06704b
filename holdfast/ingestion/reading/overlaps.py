"""Overlaps of the files of a folder: rows that equal a row of another file in every common column.

Two exports that overlap in time hold the same rows, and often in the same order. Two different purchases rarely agree
in every column, and next to never several in a row. The order of the rows therefore separates overlaps from repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

_LEAST_RUN = 3  # equal rows that follow each other in both files


@dataclass(frozen=True)
class FileOverlap:
    """Equal rows of two files.

    Attributes:
        first: Position of the earlier file.
        second: Position of the later file.
        positions: Rows of the later file that equal a row of the earlier one.
        longest_run: Length of the longest sequence of different equal rows that follow each other in both files.
    """

    first: int
    second: int
    positions: np.ndarray
    longest_run: int

    @property
    def rows(self) -> int:
        """Return the number of equal rows."""
        return len(self.positions)

    @property
    def is_consecutive(self) -> bool:
        """Return True if the files surely hold the same rows of one export."""
        return self.longest_run >= _LEAST_RUN


def hash_rows(tables: Sequence[pa.Table]) -> list[np.ndarray]:
    """Hash the rows of tables of strings over their common columns.

    Args:
        tables: Tables, whose columns may differ in number and order.

    Returns:
        Hash of each row, per table.
    """
    common = set.intersection(*(set(table.column_names) for table in tables)) if tables else set()
    hashes = []
    with duckdb.connect() as connection:
        for table in tables:
            columns = [table.column(table.column_names.index(name)) for name in sorted(common)]
            connection.register("rows", pa.table(columns, names=[f"c{i}" for i in range(len(columns))]))
            names = ", ".join(f"c{i}" for i in range(len(columns)))
            found = connection.execute(f"SELECT hash({names}) AS h FROM rows").fetchnumpy()["h"]
            hashes.append(np.asarray(found, dtype=np.uint64))
    return hashes


def find_overlaps(hashes: Sequence[np.ndarray]) -> list[FileOverlap]:
    """Find the rows of each file that an earlier file holds as well.

    The n-th of equal rows in a file equals the n-th of these rows in another file.

    Args:
        hashes: Hash of each row, per file.

    Returns:
        Overlaps of pairs of files. A row of several files belongs to the overlaps of neighbors among these files.
    """
    sizes = [len(values) for values in hashes]
    rows = pd.DataFrame(
        {
            "key": np.concatenate([*hashes, np.empty(0, np.uint64)]),
            "file": np.repeat(np.arange(len(sizes)), sizes),
            "position": np.concatenate([*(np.arange(size) for size in sizes), np.empty(0, np.int64)]).astype(np.int64),
        }
    )
    rows = rows[rows.duplicated("key", keep=False)]
    rows = rows.assign(nth=rows.groupby(["key", "file"]).cumcount())
    rows = rows.sort_values(["key", "nth", "file"], ignore_index=True)
    same = (rows[["key", "nth"]] == rows[["key", "nth"]].shift()).all(axis=1)
    shared = rows.assign(first=rows["file"].shift(), first_position=rows["position"].shift())[same]
    shared = shared.astype({"first": np.int64, "first_position": np.int64})
    return [_describe_pair(group) for _, group in shared.groupby(["first", "file"])]


def _describe_pair(shared: pd.DataFrame) -> FileOverlap:
    ordered = shared.sort_values("position")
    first, second = (int(ordered[name].to_numpy()[0]) for name in ("first", "file"))
    positions, others = ordered["position"].to_numpy(), ordered["first_position"].to_numpy()
    step = np.diff(others)
    follows = (np.diff(positions) == 1) & (np.abs(step) == 1) & (np.diff(ordered["key"].to_numpy()) != 0)
    # A run continues in the direction in which it started: exports may be sorted in opposite orders.
    breaks = np.flatnonzero(~follows | np.r_[False, step[1:] != step[:-1]])
    runs = np.diff(np.r_[-1, breaks, len(follows)])
    return FileOverlap(first, second, positions, int(runs.max()))
