"""Compressed files and archives: every layer is removed, broken ones are refused."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion.reading import compression
from holdfast.ingestion.reading.compression import decompress

TABLE = b"id,when,amount\n" + b"1,2025-01-01,5\n" * 50


def _arrow(codec: str) -> Callable[[bytes], bytes]:
    def compress(content: bytes) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(content)
        return bytes(sink.getvalue().to_pybytes())

    return compress


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def _tar(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name.replace("__", "."))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": _arrow("zstd"),
    "lz4": _arrow("lz4"),
    "zip": lambda content: _zip(table__csv=content),
    "tar": lambda content: _tar(table__csv=content),
}


@pytest.mark.parametrize("outer", [None, *COMPRESSORS])
@pytest.mark.parametrize("inner", COMPRESSORS)
def test_decompress_removes_every_layer(inner: str, outer: str | None) -> None:
    content = COMPRESSORS[inner](TABLE)
    name = f"table.csv.{inner}"
    if outer:
        content, name = COMPRESSORS[outer](content), f"{name}.{outer}"
    for known_as in (name, "table.csv"):  # the name may not show the layers
        found = decompress(known_as, content)
        assert (found.content, found.file_type, found.notes) == (TABLE, "text", ())


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst", "lz4", "zip"])
def test_decompress_of_a_cut_file_raises_at_every_byte(kind: str) -> None:
    content = COMPRESSORS[kind](TABLE)
    for end in range(10, len(content)):
        with pytest.raises(IngestError, match=r"is a broken|is not (?:xz|bz2)|holds no file"):
            decompress(f"table.csv.{kind}", content[:end])


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst", "lz4"])
def test_decompress_reads_members_written_one_behind_the_other(kind: str) -> None:
    compress = COMPRESSORS[kind]
    assert decompress("x.csv", compress(TABLE) + compress(b"2,2025-01-01,5\n")).content == TABLE + b"2,2025-01-01,5\n"


def test_decompress_of_gzip_allows_zeros_and_rejects_other_data_behind_it() -> None:
    assert decompress("x.csv.gz", gzip.compress(TABLE) + bytes(512)).content == TABLE
    with pytest.raises(IngestError, match="other data follow"):
        decompress("x.csv.gz", gzip.compress(TABLE) + b"id,when")


@pytest.mark.parametrize("pack", [_zip, _tar])
def test_decompress_of_an_archive_needs_one_table(pack: Callable[..., bytes]) -> None:
    found = decompress("x.zip" if pack is _zip else "x.tar", pack(**{"a/table.csv": TABLE, "readme.txt": b"hello"}))
    assert found.content == TABLE
    assert "a/table.csv was read; left out: readme.txt." in found.notes[0]
    hidden = pack(**{"__MACOSX/._table.csv": b"x", "table.csv": TABLE, ".DS_Store": b"x"})
    assert (decompress("x", hidden).content, decompress("x", hidden).notes) == (TABLE, ())
    with pytest.raises(IngestError, match=r"holds 2 tables \(a\.csv, b\.csv\).*Unpack it into a folder"):
        decompress("x", pack(a__csv=TABLE, b__csv=TABLE))
    with pytest.raises(IngestError, match="holds no file"):
        decompress("x", pack(**{".DS_Store": b"x"}))


def test_decompress_of_more_than_half_of_memory_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_memory_limit", lambda: len(TABLE) - 1)
    for kind in ("gz", "bz2", "xz", "zst", "lz4", "zip"):
        with pytest.raises(IngestError, match="half of this machine's memory"):
            decompress(f"x.{kind}", COMPRESSORS[kind](TABLE))
    monkeypatch.setattr(compression, "_memory_limit", lambda: len(TABLE))
    assert decompress("x.gz", gzip.compress(TABLE)).content == TABLE


@pytest.mark.parametrize("pack", [_zip, _tar])
def test_decompress_of_two_tables_calls_the_archive_not_broken(pack: Callable[..., bytes]) -> None:
    with pytest.raises(IngestError, match=r"^x holds 2 tables \(a\.csv, b\.csv\); an archive must hold one table"):
        decompress("x", pack(**{"a.csv": b"a", "b.csv": b"b"}))


@pytest.mark.parametrize("ending", ["gz", "zip", "zst", "bz2", "xz"])
def test_decompress_of_a_file_with_the_ending_of_another_type_raises(ending: str) -> None:
    with pytest.raises(IngestError, match=rf"is not .* although its name ends in \.{ending}"):
        decompress(f"x.csv.{ending}", TABLE)


def test_decompress_of_a_protected_zip_names_the_password() -> None:
    content = bytearray(_zip(table__csv=TABLE))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # flag of encryption in the directory
    with pytest.raises(IngestError, match="protected by a password"):
        decompress("x.zip", bytes(content))
