"""Files of a folder that hold the same rows: exports of everything side by side, and exports of overlapping periods."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.edited_rows import find_edited_rows
from holdfast.ingestion.reading.overlaps import FileOverlap, find_overlaps, hash_rows
from holdfast.ingestion.reading.source import FileReport, SourceFile

_LARGE_SHARE = 0.05  # of the smaller file: too much for repeated purchases
_KEEP = "`overlapping_files: keep` in the mapping reads every file as a whole"


@dataclass(frozen=True)
class DistinctFile:
    """File of a folder without the rows of other files.

    Attributes:
        file: The file; None when another file holds all its rows.
        report: Report of the file.
    """

    file: SourceFile | None
    report: FileReport


def drop_overlaps(files: Sequence[SourceFile], mapping: ColumnMapping) -> tuple[list[DistinctFile], tuple[str, ...]]:
    """Leave out files whose rows are all in another file, and the rows in which two files overlap.

    Args:
        files: Files of a folder, in its order.
        mapping: Mapping of the source, with the treatment of overlaps.

    Returns:
        Each file without rows of other files, and sentences about equal rows.

    Raises:
        IngestError: Two files have many equal rows, and it is not clear whether the rows are the same purchases.
    """
    rules = [mapping.for_file(file.name) for file in files]
    digests = [rule.sha256 for rule in rules]
    result = [DistinctFile(file, FileReport(file.name, file.rows_read)) for file in files]
    notes: list[str] = []
    if mapping.overlapping_files == "keep" or mapping.kind == "attributes":  # repeated attributes add nothing
        return result, ()
    for digest in dict.fromkeys(digests):  # rows that are read by different rules are not comparable
        positions = [position for position, other in enumerate(digests) if other == digest]
        group = [files[position] for position in positions]
        if len(group) > 1 and _have_mapped_columns(group, rules[positions[0]]):
            distinct, notes_of_group = _drop_overlaps(group, mapping)
            notes += notes_of_group
            for position, item in zip(positions, distinct, strict=True):
                result[position] = item
    return result, tuple(notes)


def _have_mapped_columns(files: Sequence[SourceFile], mapping: ColumnMapping) -> bool:
    """Check whether all files have the columns that the mapping reads from any of them."""
    columns = [set(file.rows.column_names) for file in files]
    mapped = set.union(*columns) & set(mapping.required_columns)
    return bool(mapped) and mapped <= set.intersection(*columns)


def _drop_overlaps(files: Sequence[SourceFile], mapping: ColumnMapping) -> tuple[list[DistinctFile], tuple[str, ...]]:
    tables = [file.rows for file in files]
    common = set.intersection(*(set(table.column_names) for table in tables))
    # Files rarely agree in the mapped columns; only then the others are compared.
    hashes = hash_rows(tables, common & set(mapping.required_columns))
    if not _find_prefixes(files, hashes) and not find_overlaps(hashes):
        return [DistinctFile(file, FileReport(file.name, file.rows_read)) for file in files], ()
    hashes = hash_rows(tables, common)
    remaining, result = list(range(len(files))), {}
    contained = _find_prefixes(files, hashes)
    while contained := contained or _find_contained([files[i] for i in remaining], [hashes[i] for i in remaining]):
        for small, large in contained.items():
            file, other = files[remaining[small]], files[remaining[large]]
            reason = f"all {file.rows.num_rows:,} rows are in {other.name}"
            result[remaining[small]] = DistinctFile(None, FileReport(file.name, 0, reason))
        remaining = [i for position, i in enumerate(remaining) if position not in contained]
        contained = {}
    distinct = [files[i] for i in remaining]
    notes: tuple[str, ...] = ()
    if mapping.exact_duplicates == "keep":
        distinct, notes = _drop_rows(distinct, [hashes[i] for i in remaining], mapping)
    for i, file in zip(remaining, distinct, strict=True):
        dropped = files[i].rows.num_rows - file.rows.num_rows
        reason = f"{dropped:,} more rows are in files before it" if dropped else ""
        result[i] = DistinctFile(file, FileReport(file.name, file.rows_read, reason))
    return [result[i] for i in range(len(files))], notes


def _find_prefixes(files: Sequence[SourceFile], hashes: Sequence[np.ndarray]) -> dict[int, int]:
    """Return the files that the next larger one begins or ends with: exports that grow, found without sorting rows."""
    by_size = sorted(range(len(files)), key=lambda position: (len(hashes[position]), -position))
    contained: dict[int, int] = {}
    for small, large in pairwise(by_size):
        rows, others = hashes[small], hashes[large]
        begins_or_ends = len(rows) and any(
            np.array_equal(rows, part) for part in (others[: len(rows)], others[-len(rows) :])
        )
        if begins_or_ends and _holds_lines(files[large], files[small]):
            contained[small] = large
    return contained


def _find_contained(files: list[SourceFile], hashes: list[np.ndarray]) -> dict[int, int]:
    """Return the files whose rows are all in another file, each with the position of the other file."""
    contained: dict[int, int] = {}
    for pair in find_overlaps(hashes):
        for small, large in ((pair.second, pair.first), (pair.first, pair.second)):
            is_free = small not in contained and large not in contained
            if is_free and pair.rows == len(hashes[small]) and _holds_lines(files[large], files[small]):
                contained[small] = large
    return contained


def _holds_lines(large: SourceFile, small: SourceFile) -> bool:
    """Check whether a file has every malformed line of another one."""
    return Counter(small.malformed.texts) <= Counter(large.malformed.texts)


def _drop_rows(
    files: list[SourceFile], hashes: list[np.ndarray], mapping: ColumnMapping
) -> tuple[list[SourceFile], tuple[str, ...]]:
    dropped = [np.zeros(len(values), dtype=bool) for values in hashes]
    notes = []
    for pair in find_overlaps(hashes):
        first, second = files[pair.first], files[pair.second]
        share = pair.rows / min(first.rows.num_rows, second.rows.num_rows)
        if pair.is_consecutive or mapping.overlapping_files == "drop":
            if mapping.carry_down:
                raise IngestError(
                    f"{_describe(pair, first, second)} With `carry_down`, single rows cannot be left out. Give exports "
                    f"of periods that do not overlap; {_KEEP}."
                )
            _require_no_edits(pair, first, second, mapping)
            dropped[pair.second][pair.positions] = True
            if mapping.overlapping_files == "detect":
                notes.append(f"{_describe(pair, first, second)} The exports overlap: read once. {_KEEP}.")
        elif pair.rows > 1 and share > _LARGE_SHARE:
            raise IngestError(
                f"{_describe(pair, first, second)} That is {share:.0%} of the smaller file, and too many for repeated "
                "purchases. If the exports overlap, set `overlapping_files: drop` in the mapping to read these rows "
                f"once; {_KEEP}."
            )
        else:
            notes.append(
                f"{_describe(pair, first, second)} They count as repeated purchases; `overlapping_files: drop` in the "
                "mapping reads them once."
            )
    remaining = [
        file.take(np.flatnonzero(~rows)) if rows.any() else file for file, rows in zip(files, dropped, strict=True)
    ]
    return remaining, tuple(notes)


def _require_no_edits(pair: FileOverlap, first: SourceFile, second: SourceFile, mapping: ColumnMapping) -> None:
    """Refuse two exports of one period that have a row in two versions."""
    found = find_edited_rows(first, second, pair, mapping.for_file(second.name))
    if found is None:
        return
    count = "a row" if found.rows == 1 else f"{found.rows:,} rows"
    values = [
        str(file.rows.column(found.column)[position])[:100]
        for file, position in ((first, found.first), (second, found.second))
    ]
    raise IngestError(
        f"{first.name} and {second.name} have {pair.rows:,} equal rows, and {count} in two versions: "
        f"{found.column!r} is {values[0]!r} in row {first.row_numbers[found.first]} of {first.name} and {values[1]!r} "
        f"in row {second.row_numbers[found.second]} of {second.name}. Both versions would count. Leave the earlier "
        "export out with `exclude_files` in the mapping, or ingest the exports one by one, which notes edited rows; "
        f"{_KEEP}."
    )


def _describe(pair: FileOverlap, first: SourceFile, second: SourceFile) -> str:
    position = int(pair.positions[0])
    values = ",".join(str(column[position]) for column in second.rows.columns)
    example = f"row {second.row_numbers[position]} of {second.name}: {values[:100]}"
    return f"{first.name} and {second.name} have {pair.rows:,} equal rows ({example})."
