"""Readers of a source (file or folder): unchanged values as strings, malformed lines separately."""

import hashlib
from pathlib import Path

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.csv_reader import read_csv
from holdfast.ingestion.reading.file_content import read_content
from holdfast.ingestion.reading.parquet_reader import read_parquet
from holdfast.ingestion.reading.source import Source, SourceFile
from holdfast.ingestion.reading.source_files import list_source_files

_PARQUET = b"PAR1"


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
    for location in list_source_files(path):
        content = read_content(location)
        digests.append(hashlib.sha256(content).hexdigest())
        of_file = mapping.for_file(location.name)
        file = _read_file(location.name, content, of_file)
        _require_columns(file, of_file, location)
        files.append(file)
    notes = tuple(dict.fromkeys(note for file in files for note in file.notes))
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    source = Source(name=path.name, sha256=digest, files=files, notes=notes)
    if source.rows_read == 0:
        raise IngestError(f"{path} has a header and no rows. Check the export that wrote it.")
    return source


def _read_file(name: str, content: bytes, mapping: ColumnMapping) -> SourceFile:
    if content.startswith(_PARQUET) or name.lower().endswith(".parquet"):
        return read_parquet(name, content, mapping)
    return read_csv(name, content, mapping)


def _require_columns(file: SourceFile, mapping: ColumnMapping, location: Path) -> None:
    found = file.rows.column_names
    for column in mapping.required_columns:
        if found.count(column) == 1:
            continue
        listing = ", ".join(repr(name) for name in found)
        hint = " Only one column was found: set `delimiter:` in the mapping?" if len(found) == 1 else ""
        problem = "is missing" if column not in found else "appears more than once"
        raise IngestError(
            f"{location}: column {column!r}, named in the mapping, {problem}. Columns found: {listing}. "
            f"Correct the mapping or the export.{hint}"
        )
