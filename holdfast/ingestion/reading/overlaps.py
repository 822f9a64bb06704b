"""Overlaps of the files of a folder: rows that equal a row of another file in every common column.

Two exports that overlap in time hold the same rows, and often in the same order. Two different purchases rarely agree
in every column, and next to never several in a row. The order of the rows therefore separates overlaps from repeats.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

_LEAST_RUN = 3  # equal rows that follow each other in both files


@dataclass(frozen=True)
class FileOverlap:
    """Equal rows of two files.

    Attributes:
        first: Position of the earlier file.
        second: Position of the later file.
        positions: Rows of the later file that equal a row of the earlier one.
        first_positions: The equal row of the earlier file for each of them.
        longest_run: Length of the longest sequence of different equal rows that follow each other in both files.
    """

    first: int
    second: int
    positions: np.ndarray
    first_positions: np.ndarray
    longest_run: int

    @property
    def rows(self) -> int:
        """Return the number of equal rows."""
        return len(self.positions)

    @property
    def is_consecutive(self) -> bool:
        """Return True if the files surely hold the same rows of one export."""
        return self.longest_run >= _LEAST_RUN


def hash_rows(tables: Sequence[pa.Table], columns: Iterable[str]) -> list[np.ndarray]:
    """Hash the rows of tables of strings.

    Args:
        tables: Tables, whose columns may have any order.
        columns: Columns to hash, which every table has.

    Returns:
        Hash of each row, per table.
    """
    names = sorted(set(columns))
    aliases = [f"c{i}" for i in range(len(names))]
    hashes = []
    with duckdb.connect() as connection:
        for table in tables:
            columns_of_table = [table.column(table.column_names.index(name)) for name in names]
            connection.register("rows", pa.table(columns_of_table, names=aliases))
            found = connection.execute(f"SELECT hash({', '.join(aliases)}) AS h FROM rows").fetchnumpy()["h"]
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
    if len(hashes) < 2:
        return []
    sizes = [len(values) for values in hashes]
    keys = np.concatenate(hashes)
    files = np.repeat(np.arange(len(sizes)), sizes)
    order = np.argsort(keys, kind="stable")  # by key, file and position
    equal = keys[order][1:] == keys[order][:-1]
    order = order[np.r_[equal, False] | np.r_[False, equal]] if len(order) else order
    if not len(order):
        return []
    starts_of_files = np.cumsum([0, *sizes])
    keys, files = keys[order], files[order]
    nth = _count_before(keys, files)
    if nth.any():
        again = np.lexsort((files, nth, keys))
        order, keys, files, nth = order[again], keys[again], files[again], nth[again]
    positions = order - starts_of_files[files]
    same = (keys[1:] == keys[:-1]) & (nth[1:] == nth[:-1])
    first, second = files[:-1][same], files[1:][same]
    shared = np.column_stack([positions[1:][same], positions[:-1][same]])
    keys = keys[1:][same]
    order = np.lexsort((shared[:, 0], second, first))
    first, second, shared, keys = first[order], second[order], shared[order], keys[order]
    bounds = np.flatnonzero((np.diff(first) != 0) | (np.diff(second) != 0)) + 1
    parts = zip(*(np.split(values, bounds) for values in (first, second, shared, keys)), strict=True)
    return [FileOverlap(int(f[0]), int(s[0]), p[:, 0], p[:, 1], _longest_run(p, k)) for f, s, p, k in parts if len(f)]


def _count_before(keys: np.ndarray, files: np.ndarray) -> np.ndarray:
    """Count the equal rows before each row in its file; the rows are sorted by key, file and position."""
    starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]) | (files[1:] != files[:-1])])
    return np.arange(len(keys)) - np.repeat(starts, np.diff(np.r_[starts, len(keys)]))


def _longest_run(positions: np.ndarray, keys: np.ndarray) -> int:
    """Return the length of the longest run; positions in the later and in the earlier file, shape (rows, 2)."""
    steps = np.diff(positions, axis=0)
    follows = (steps[:, 0] == 1) & (np.abs(steps[:, 1]) == 1) & (keys[1:] != keys[:-1])
    # A run continues in the direction in which it started: exports may be sorted in opposite orders.
    turns = np.r_[False, (steps[1:, 1] != steps[:-1, 1]) & follows[:-1]][: len(follows)]
    breaks = np.flatnonzero(~follows | turns)
    return int(np.diff(np.r_[-1, breaks, len(follows)]).max())
