"""Decompression of files, and of archives that hold one table."""

import bz2
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from holdfast.core.errors import IngestError
from holdfast.ingestion.reading.file_type import detect_file_type

_MOST_LAYERS = 4
_SUFFIXES = {".gz": "gzip", ".zip": "zip", ".zst": "zstd", ".lz4": "lz4", ".bz2": "bz2", ".xz": "xz", ".tar": "tar"}
_TABLE_SUFFIXES = frozenset(
    {".csv", ".tsv", ".parquet", ".xlsx", ".xls", ".xlsb", ".ods", ".feather", ".arrow", ".orc"} | set(_SUFFIXES)
)


@dataclass(frozen=True)
class DecompressedFile:
    """Bytes of a table.

    Attributes:
        content: Bytes without any layer of compression.
        file_type: Type of the content.
        notes: Sentences for the person who ingests the source.
    """

    content: bytes
    file_type: str
    notes: tuple[str, ...] = ()


def decompress(name: str, content: bytes) -> DecompressedFile:
    """Remove every layer of compression; an archive must hold one table.

    Args:
        name: Name of the file, for error messages and for the type that its ending promises.
        content: Bytes of the file.

    Returns:
        Bytes of the table.

    Raises:
        IngestError: A layer is broken, cut or protected by a password, its content does not fit into half of the
            memory, an archive holds several tables or none, or the name ends in the suffix of another type.
    """
    kind = detect_file_type(content)
    promised = next((kind for suffix, kind in _SUFFIXES.items() if name.lower().endswith(suffix)), None)
    if promised is not None and kind not in (promised, "workbook"):
        ending = name[name.rindex(".") :]
        raise IngestError(f"{name} is not {promised} although its name ends in {ending}. Rename it or export it again.")
    notes: tuple[str, ...] = ()
    for _ in range(_MOST_LAYERS):
        if kind == "zip":
            content, notes = _read_zip(name, content, notes)
        elif kind == "tar":
            content, notes = _read_tar(name, content, notes)
        elif kind in ("gzip", "zstd", "lz4", "bz2", "xz"):
            content = _decompress(name, content, kind)
        else:
            return DecompressedFile(content, kind, notes)
        kind = detect_file_type(content)
    raise IngestError(f"{name} is compressed more than {_MOST_LAYERS} times. Unpack it.")


def _memory_limit() -> int:
    """Return half of the machine's memory in bytes: a larger content could not be read."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _require_fit(name: str, size: int) -> None:
    if size > _memory_limit():
        raise IngestError(
            f"{name} decompresses to more than {_memory_limit() / 1e9:.1f} GB, half of this machine's memory. "
            "Split the export, or give it as Parquet files in a folder."
        )


def _decompress(name: str, content: bytes, kind: str) -> bytes:
    limit = _memory_limit() + 1
    stream: Any
    try:
        if kind == "gzip":
            result: bytes = _gunzip(content, limit)
        elif kind == "bz2":
            with bz2.BZ2File(io.BytesIO(content)) as stream:
                result = stream.read(limit)
        elif kind == "xz":
            with lzma.LZMAFile(io.BytesIO(content)) as stream:
                result = stream.read(limit)
        else:
            with pa.CompressedInputStream(pa.BufferReader(content), kind) as stream:
                result = stream.read(limit)
    except (EOFError, ValueError, OSError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        raise IngestError(f"{name} is a broken {kind} file ({error}). Copy or export it again.") from error
    _require_fit(name, len(result))
    return result


def _gunzip(content: bytes, limit: int) -> bytes:
    parts, size, rest = [], 0, content
    while rest:
        if not rest.startswith(b"\x1f\x8b"):
            raise ValueError("other data follow the compressed data")
        stream = zlib.decompressobj(wbits=31)
        parts.append(stream.decompress(rest, max(limit - size, 1)))
        size += len(parts[-1])
        if size >= limit:
            break
        if not stream.eof:
            raise EOFError("it ends before the end-of-stream marker")
        rest = stream.unused_data.lstrip(b"\x00")  # tapes and some servers add zeros
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_zip(name: str, content: bytes, notes: tuple[str, ...]) -> tuple[bytes, tuple[str, ...]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
            member, note = _choose_member(name, list(members))
            _require_fit(name, members[member].file_size)
            if members[member].flag_bits & 1:
                raise IngestError(f"{name} is protected by a password. Unpack it.")
            return archive.read(member), (*notes, *note)
    except IngestError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, lzma.LZMAError) as error:
        raise IngestError(f"{name} is a broken zip archive ({error}). Copy or export it again.") from error


def _read_tar(name: str, content: bytes, notes: tuple[str, ...]) -> tuple[bytes, tuple[str, ...]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            members = {entry.name: entry for entry in archive.getmembers() if entry.isfile()}
            member, note = _choose_member(name, list(members))
            stream = archive.extractfile(members[member])
            return (stream.read() if stream else b""), (*notes, *note)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise IngestError(f"{name} is a broken tar archive ({error}). Copy or export it again.") from error


def _choose_member(name: str, members: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return the only table of an archive, and a note of the members that were left out."""
    visible = [
        member for member in members if not any(part.startswith((".", "__MACOSX")) for part in member.split("/"))
    ]
    tables = [member for member in visible if PurePosixPath(member).suffix.lower() in _TABLE_SUFFIXES] or visible
    if len(tables) == 1:
        others = [member for member in visible if member != tables[0]]
        note = f"{name}: {tables[0]} was read; left out: {', '.join(others)}."
        return tables[0], ((note,) if others else ())
    found = f"{len(tables)} tables ({', '.join(sorted(tables)[:5])}{', …' if len(tables) > 5 else ''})"
    raise IngestError(
        f"{name} holds {found if tables else 'no file'}; an archive must hold one table. "
        "Unpack it into a folder, and give the folder or one of its files."
    )
