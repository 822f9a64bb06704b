"""Rows that changed between two exports of one period: an order with another status, amount or customer.

Rows that two exports share are read once. An edited row is in both exports, and would count twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_columns import column_names
from holdfast.ingestion.reading.overlaps import FileOverlap, hash_rows
from holdfast.ingestion.reading.source import SourceFile


@dataclass(frozen=True)
class EditedRows:
    """Rows of two exports with one order number, or equal in the time and all other mapped columns but one at most.

    Attributes:
        rows: Number of rows in the second export.
        first: Position of an example in the first export.
        second: Position of the example in the second export.
        column: Column in which the rows of the example differ.
    """

    rows: int
    first: int
    second: int
    column: str


def find_edited_rows(
    first: SourceFile, second: SourceFile, overlap: FileOverlap, mapping: ColumnMapping
) -> EditedRows | None:
    """Find the rows that one export has in another version than the other export.

    Args:
        first: One of two exports that overlap.
        second: The other one.
        overlap: Their equal rows.
        mapping: Mapping of both files.

    Returns:
        Edited rows; None without one. Rows that occur several times in these columns are not compared.
    """
    shared = set(first.rows.column_names) & set(second.rows.column_names)
    fields = mapping.columns.by_field
    times = [name for name in column_names(fields["event_timestamp"]) if name in shared]
    mapped = {name for source in fields.values() for name in column_names(source)}
    others = sorted(name for name in mapped if name in shared and name not in times)
    unequal = _remaining(first, overlap.first_positions), _remaining(second, overlap.positions)
    if not times or len(others) < 2:
        return None
    rest = _with_common_keys(first, second, unequal, times)
    pairs: dict[int, tuple[int, str]] = {}
    for column in ["", *others]:
        if min(map(len, rest)) == 0:
            break
        equal = [*times, *(name for name in others if name != column)]
        for position, other in _match_singles(first, second, rest, equal):
            pairs.setdefault(position, (other, column))
    for position, other in _match_by_number(first, second, unequal, sorted(shared - {*times, *mapped})):
        pairs.setdefault(position, (other, ""))
    if not pairs:
        return None
    position = min(pairs)
    other, column = pairs[position]
    return EditedRows(len(pairs), other, position, column or _find_difference(first, second, other, position))


def _remaining(file: SourceFile, taken: np.ndarray) -> np.ndarray:
    remains = np.ones(file.rows.num_rows, dtype=bool)
    remains[taken] = False
    return np.flatnonzero(remains)


def _hash(file: SourceFile, positions: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    table = pa.table([file.rows.column(name).take(pa.array(positions)) for name in columns], names=list(columns))
    return hash_rows([table], columns)[0]


def _with_common_keys(
    first: SourceFile, second: SourceFile, rest: tuple[np.ndarray, np.ndarray], columns: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Keep the rows whose columns have the same values in the other file."""
    keys, others = _hash(first, rest[0], columns), _hash(second, rest[1], columns)
    return rest[0][np.isin(keys, others)], rest[1][np.isin(others, keys)]


def _match_singles(
    first: SourceFile, second: SourceFile, rest: tuple[np.ndarray, np.ndarray], columns: Sequence[str]
) -> list[tuple[int, int]]:
    """Match the rows whose columns occur once in each file; returns positions in the second and in the first file."""
    singles = []
    for file, positions in zip((first, second), rest, strict=True):
        keys, index, counts = np.unique(_hash(file, positions, columns), return_index=True, return_counts=True)
        singles.append((keys[counts == 1], positions[index[counts == 1]]))
    (keys, positions), (other_keys, other_positions) = singles
    _, found, other_found = np.intersect1d(keys, other_keys, assume_unique=True, return_indices=True)
    return [(int(b), int(a)) for a, b in zip(positions[found], other_positions[other_found], strict=True)]


def _match_by_number(
    first: SourceFile, second: SourceFile, rest: tuple[np.ndarray, np.ndarray], columns: Sequence[str]
) -> list[tuple[int, int]]:
    """Match rows by a column whose values are all present and different in each file, such as an order number."""
    for name in columns:
        values = [file.rows.column(name) for file in (first, second)]
        if all(
            pc.count_distinct(column).as_py() == len(column) and not pc.any(_is_blank(column)).as_py()
            for column in values
        ):
            return _match_singles(first, second, rest, [name])
    return []


def _is_blank(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.equal(column, "")


def _find_difference(first: SourceFile, second: SourceFile, position: int, other: int) -> str:
    """Return the first column in which two rows differ."""
    for name in second.rows.column_names:
        if name in first.rows.column_names:
            values = first.rows.column(name)[position], second.rows.column(name)[other]
            if values[0] != values[1]:
                return str(name)
    return ""
