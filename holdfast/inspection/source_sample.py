"""Sample of a source: its format, and evidence rows of every column."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import TextColumn, read_text_column
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.reading.source import MalformedLines, Source, SourceFile

MAX_EVIDENCE_ROWS = 200_000
_TITLE_ROWS = 10
_FEW_COLUMNS = 2
_BLOCKS = 40  # neighboring rows show the lines of an order; blocks spread over the file show all periods


@dataclass(frozen=True)
class SourceSample:
    """Columns of a source with the rows that serve as evidence.

    Attributes:
        source: Whole source as read.
        files: Files of the sampled rows.
        columns: Names of the columns that every file has once, in the order of the first file.
        absent: Columns that only some files have, with the name of a file without each.
        rows: Number of sampled rows.
    """

    source: Source
    files: tuple[SourceFile, ...]
    columns: tuple[str, ...]
    absent: dict[str, str]
    rows: int

    def read_column(self, name: str) -> TextColumn:
        """Read the sampled values of a column.

        Args:
            name: Name of the column.

        Returns:
            Trimmed strings, null where a value is missing.
        """
        return read_text_column(self.files, name)


def read_sample(path: Path, file_format: dict[str, Any]) -> SourceSample:
    """Read a source with all its columns and select rows as evidence.

    Args:
        path: File or folder.
        file_format: Keys of the mapping for reading the files: encoding, delimiter, quoted.

    Returns:
        Sample of the source.

    Raises:
        IngestError: The source is not readable.
    """
    source = read_source(path, _format_only(file_format))
    names = source.files[0].rows.column_names
    absent: dict[str, str] = {}
    for file in source.files:
        here = file.rows.column_names
        absent |= {name: file.name for name in names if here.count(name) != 1}
        absent |= {name: source.files[0].name for name in here if name not in names}
    columns = tuple(name for name in names if name not in absent)
    if not columns:
        raise IngestError(f"{path}: the files have no column in common. Give one kind of file at a time.")
    if not any(file.rows.num_rows for file in source.files):
        raise IngestError(f"{path}: no line fits the header. Set `delimiter`, `quoted` or `skip_rows` with --set.")
    files = tuple(file for file in select_rows(source) if file.rows.num_rows)
    return SourceSample(source, files, columns, absent, sum(file.rows.num_rows for file in files))


def count_title_rows(path: Path, sample: SourceSample, file_format: dict[str, Any]) -> int:
    """Count the rows above the header of a sheet: the first row with a name in each of three columns or more.

    Args:
        path: File or folder.
        sample: Sample as read with the first row as header.
        file_format: Keys of the mapping for reading the files.

    Returns:
        Number of rows; 0 where the first row is the header.
    """
    names = sample.source.files[0].rows.column_names
    unnamed = sum(name.startswith("(column ") for name in names)
    if len(names) > _FEW_COLUMNS and unnamed < 0.5 * len(names):
        return 0
    for skipped in range(1, _TITLE_ROWS):
        try:
            found = read_source(path, _format_only(file_format | {"skip_rows": skipped})).files[0].rows.column_names
        except IngestError:
            continue
        if len(found) > max(_FEW_COLUMNS, len(names) - 1) and not any(name.startswith("(column ") for name in found):
            return skipped
    return 0


def select_rows(source: Source) -> list[SourceFile]:
    """Select blocks of neighboring rows, spread over each file of a source.

    Args:
        source: Source.

    Returns:
        Files with at most ``MAX_EVIDENCE_ROWS`` rows in total.
    """
    share = min(1.0, MAX_EVIDENCE_ROWS / max(1, sum(file.rows.num_rows for file in source.files)))
    return [_select_rows(file, share) for file in source.files]


class _FormatMapping(ColumnMapping):
    """Mapping that reads every column and requires none."""

    @property
    def required_columns(self) -> list[str]:
        return []


def _format_only(file_format: dict[str, Any]) -> ColumnMapping:
    columns = {field: f"(no column for {field})" for field in ("customer_id", "event_timestamp", "amount")}
    return _FormatMapping.model_validate({"columns": columns, **file_format})


def _select_rows(file: SourceFile, share: float) -> SourceFile:
    rows = file.rows.num_rows
    if share >= 1:
        return file
    size = max(1, int(rows * share / _BLOCKS))
    starts = np.unique(np.linspace(0, rows - size, _BLOCKS).astype(np.int64))
    taken = file.take(np.unique(np.concatenate([np.arange(start, start + size) for start in starts])))
    malformed = MalformedLines(file.malformed.row_numbers[:0], file.malformed.texts[:0])
    return replace(taken, malformed=malformed)
