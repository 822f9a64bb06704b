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
from holdfast.ingestion.reading.folder_report import summarize_files
from holdfast.ingestion.reading.header import MissingColumnError
from holdfast.ingestion.reading.joins import is_joined, join_files, select_files
from holdfast.ingestion.reading.overlapping_files import drop_overlaps
from holdfast.ingestion.reading.parquet_reader import read_arrow, read_orc, read_parquet
from holdfast.ingestion.reading.source import FileReport, Source, SourceFile
from holdfast.ingestion.reading.source_files import ListedFile, list_source_files
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
    """Read a file, or every file of a folder and its subfolders sorted by path.

    Each row of a folder is read once: contents under two names, exports that hold another one, and rows in which two
    exports overlap.

    Args:
        path: File or folder.
        mapping: Column mapping.

    Returns:
        Tables of strings, and a report per file of a folder.

    Raises:
        IngestError: No usable file at ``path``, a file that is no table, a missing mapped column, or no row at all.
        OSError: The disk or network failed; a retry may succeed.
    """
    listing = list_source_files(path, mapping.exclude_files, all_readable=mapping.rows_from is None)
    selected, notes = select_files(listing.files, mapping)
    reports = [*listing.left_out, *(_not_selected(file) for file in listing.files if file not in selected)]
    files, digests, repeated = _read_files(selected, mapping)
    joined = [file for file in files if is_joined(file.name, mapping)]
    distinct, notes_of_overlaps = drop_overlaps([file for file in files if not is_joined(file.name, mapping)], mapping)
    remaining = [item.file for item in distinct if item.file is not None] + joined
    reports += [*repeated, *(item.report for item in distinct), *(FileReport(f.name, f.rows_read) for f in joined)]
    read = [digests[file.name] for file in remaining]
    notes += [note for file in remaining for note in file.notes]
    files, notes_of_join = join_files(remaining, mapping)
    for file in files:
        location = path / file.name if path.is_dir() else path
        _require_columns(file, mapping.for_file(file.name), location, in_folder=len(selected) > 1)
    reports = sorted(reports, key=lambda report: report.name.split("/")) if path.is_dir() else []
    source = Source(
        name=path.name if path.name.strip(".") else path.resolve().name,
        sha256=read[0] if len(read) == 1 else hashlib.sha256("".join(read).encode()).hexdigest(),
        files=files,
        notes=tuple(dict.fromkeys([*summarize_files(reports), *notes, *notes_of_overlaps, *notes_of_join])),
        files_sha256=tuple(digests.values()),
        file_reports=tuple(reports),
    )
    if source.rows_read == 0:
        raise IngestError(f"{path} has a header and no rows. Check the export that wrote it.")
    return source


def _not_selected(file: ListedFile) -> FileReport:
    return FileReport(file.name, 0, "neither rows_from nor join names it")


def _read_files(
    selected: list[ListedFile], mapping: ColumnMapping
) -> tuple[list[SourceFile], dict[str, str], list[FileReport]]:
    """Read files; return those with distinct contents, the digest of each content by name, and the repeated ones."""
    files: list[SourceFile] = []
    digests: dict[str, str] = {}
    repeated: list[FileReport] = []
    first: dict[tuple[str, str], str] = {}
    versions: dict[Path, FileVersion] = {}
    for location in selected:
        stored, versions[location.path] = read_content(location.path)
        found = decompress(location.name, stored)
        of_file = mapping.for_file(location.name)
        digest = hashlib.sha256(found.content).hexdigest()
        original = first.setdefault((digest, of_file.sha256), location.name)
        if original != location.name and mapping.overlapping_files != "keep":
            repeated.append(FileReport(location.name, 0, f"the same content as {original}"))
            continue
        digests[location.name] = digest
        try:
            file = read_file(location.name, found, of_file)
        except MissingColumnError as error:
            hint = OTHER_FILE if len(selected) > 1 and mapping.rows_from is None else ""
            raise IngestError(f"{error}{hint}") from error
        files.append(replace(file, notes=(*found.notes, *file.notes)))
    for location in selected:
        require_unchanged(location.path, versions[location.path])
    return files, digests, repeated


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
