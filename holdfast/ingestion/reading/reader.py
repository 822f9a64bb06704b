"""Readers of a source (file or folder): unchanged values as strings, malformed lines separately."""

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.csv_reader import read_csv
from holdfast.ingestion.reading.source import Source, SourceFile

_SUFFIXES = (".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz", ".parquet")
_GZIP = b"\x1f\x8b"
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
    for location in _list_files(path):
        content = _read_content(location)
        digests.append(hashlib.sha256(content).hexdigest())
        file = _read_file(location.name, content, mapping)
        _require_columns(file, mapping, location)
        files.append(file)
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    source = Source(name=path.name, sha256=digest, files=files)
    if source.rows_read == 0:
        raise IngestError(f"{path} has a header and no rows. Check the export that wrote it.")
    return source


def _list_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith((".", "_"))]
        usable = [file for file in files if file.name.lower().endswith(_SUFFIXES)]
        if not usable:
            raise IngestError(f"Folder {path} has no readable file. Readable names end in {', '.join(_SUFFIXES)}.")
        return usable
    if not path.exists():
        raise IngestError(f"Source {path} does not exist. Check the path given as --source.")
    return [path]


def _read_content(file: Path) -> bytes:
    """Read a file and decompress gzip; the digest is computed from the result."""
    try:
        content = file.read_bytes()
    except PermissionError:
        raise IngestError(f"{file} is not readable by this user. Change its permissions.") from None
    if not content:
        raise IngestError(f"{file} is empty. Check the export that wrote it.")
    if content.startswith(_GZIP):
        try:
            return gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise IngestError(f"{file} is a broken gzip file ({error}). Copy or export it again.") from error
    if file.name.lower().endswith(".gz"):
        raise IngestError(f"{file} is not gzip although its name ends in .gz. Rename it or export it again.")
    return content


def _read_file(name: str, content: bytes, mapping: ColumnMapping) -> SourceFile:
    if content.startswith(_PARQUET) or name.lower().endswith(".parquet"):
        return _read_parquet(name, content)
    return read_csv(name, content, mapping)


def _read_parquet(name: str, content: bytes) -> SourceFile:
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise IngestError(f"{name} is not a readable Parquet file ({error}). Copy or export it again.") from error
    typed = frozenset(
        column.name for column in table.schema if not (pa.types.is_string(column.type) or _is_text(column.type))
    )
    columns = [_as_text(column) for column in table.columns]
    rows = pa.table(columns, names=table.column_names)
    return SourceFile(name=name, rows=rows, row_numbers=np.arange(1, rows.num_rows + 1), typed_columns=typed)


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _as_text(column: Any) -> Any:
    """Convert a column to the strings of a CSV: shortest exact numbers, ISO 8601 times, "" for missing."""
    if pa.types.is_float64(column.type):
        text = pa.array([None if v is None or v != v else repr(v) for v in column.to_pylist()], pa.string())
    else:
        try:
            text = pc.cast(column, pa.string())
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # lists, structs, bytes
            text = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_timestamp(column.type):
        text = pc.replace_substring_regex(text, r"\.0+($|[Z+-])", r"\1")
    elif pa.types.is_floating(column.type):
        text = pc.if_else(pc.equal(text, "nan"), "", text)
    return pc.fill_null(text, "")


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
