"""Readers of a source (file or folder): unchanged values as strings, malformed lines separately."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.column_names import OTHER_FILE, describe_missing_column
from holdfast.ingestion.reading.compression import DecompressedFile, decompress
from holdfast.ingestion.reading.csv_reader import read_csv
from holdfast.ingestion.reading.file_content import FileVersion, read_content, require_unchanged
from holdfast.ingestion.reading.file_type import UNREADABLE_TYPES
from holdfast.ingestion.reading.joins import join_files, select_files
from holdfast.ingestion.reading.parquet_reader import read_arrow, read_orc, read_parquet
from holdfast.ingestion.reading.source import Source, SourceFile
from holdfast.ingestion.reading.source_files import list_source_files
from holdfast.ingestion.reading.spreadsheet_reader import read_workbook

_READERS: dict[str, Callable[[str, bytes, ColumnMapping], SourceFile]] = {
    "text": read_csv,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "orc": read_orc,
    "workbook": read_workbook,
    "ole": read_workbook,
}


def read_source(path: Path, mapping: ColumnMapping) -> Source:
    """Read a CSV, gzipped CSV or Parquet file, or every such file of a folder sorted by name.

    Args:
        path: File or folder.
        mapping: Column mapping.

    Returns:
        Tables of strings.

    Raises:
        IngestError: No usable file at ``path``, a file that is no table, a missing mapped column, or no row at all.
        OSError: The disk or network failed; a retry may succeed.
    """
    files, digests = [], []
    versions: dict[Path, FileVersion] = {}
    locations, notes_of_selection = select_files(list_source_files(path), mapping)
    for location in locations:
        stored, versions[location] = read_content(location)
        found = decompress(location.name, stored)
        digests.append(hashlib.sha256(found.content).hexdigest())
        of_file = mapping.for_file(location.name)
        file = read_file(location.name, found, of_file)
        files.append(replace(file, notes=(*found.notes, *file.notes)))
    notes = [*notes_of_selection, *(note for file in files for note in file.notes)]
    files, notes_of_join = join_files(files, mapping)
    for file in files:
        in_folder = len(locations) > 1
        location = path / file.name if path.is_dir() else path
        _require_columns(file, mapping.for_file(file.name), location, in_folder)
    for location, version in versions.items():
        require_unchanged(location, version)
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    source = Source(
        name=path.name,
        sha256=digest,
        files=files,
        notes=tuple(dict.fromkeys([*notes, *notes_of_join])),
        files_sha256=tuple(digests),
    )
    if source.rows_read == 0:
        raise IngestError(f"{path} has a header and no rows. Check the export that wrote it.")
    return source


def read_file(name: str, found: DecompressedFile, mapping: ColumnMapping) -> SourceFile:
    """Read a decompressed file by the reader of its type.

    Args:
        name: Name of the file.
        found: Content and type of the file.
        mapping: Mapping of the file.

    Returns:
        File with string columns.

    Raises:
        IngestError: The file has a type that cannot be read, or is not a readable file of its type.
    """
    if found.file_type in UNREADABLE_TYPES:
        noun, remedy = UNREADABLE_TYPES[found.file_type]
        raise IngestError(f"{name} is {noun}. {remedy}.")
    if name.lower().endswith(".parquet"):
        return read_parquet(name, found.content, mapping)
    return _READERS[found.file_type](name, found.content, mapping)


def _require_columns(file: SourceFile, mapping: ColumnMapping, location: Path, in_folder: bool) -> None:
    found = file.rows.column_names
    for column in mapping.required_columns:
        if found.count(column) != 1:
            hint = OTHER_FILE if in_folder and mapping.rows_from is None and column not in found else ""
            raise IngestError(describe_missing_column(location, column, found) + hint)
