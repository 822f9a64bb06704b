"""Types of files by content, whatever their names."""

import io
import sqlite3
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.orc
import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.file_type import detect_file_type
from holdfast.ingestion.reading.reader import read_source

RULES = ColumnMapping.model_validate({"columns": {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}})


def _document(member: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(member), "x")  # without the current time: pytest names the test by the bytes
    return buffer.getvalue()


def _database(path: Path, engine: str) -> bytes:
    connection = sqlite3.connect(path) if engine == "sqlite" else duckdb.connect(str(path))
    connection.execute("create table t (id int)")
    if engine == "sqlite":
        connection.commit()  # type: ignore[union-attr]
    connection.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html>\n<html><table>", "an HTML page"),
        (b"\xef\xbb\xbf  <html>", "an HTML page"),
        (b"<table border=1><tr>", "an HTML page"),
        (b'<?xml version="1.0"?><Workbook>', "an XML document"),
        (b'[{"id": 1}]', "JSON"),
        (b'{"id": 1}\n{"id": 2}\n', "JSON"),
        (b"INSERT INTO t VALUES (1);", "an SQL dump"),
        (b"-- MySQL dump 10.13", "an SQL dump"),
        (b"{\\rtf1\\ansi", "an RTF document"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
        (b"%PDF-1.7", "a PDF document"),
        (b"Rar!\x1a\x07\x00", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"Obj\x01", "an Avro file"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (_document("word/document.xml"), "a Word document"),
        (_document("Index/Document.iwa"), "an Apple Numbers document"),
        ("sqlite", "an SQLite database"),
        ("duckdb", "a DuckDB database"),
    ],
)
def test_file_of_another_type_is_named_with_a_remedy(tmp_path: Path, content: bytes | str, message: str) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(_database(tmp_path / "x.db", content) if isinstance(content, str) else content)
    with pytest.raises(IngestError, match=rf"export\.csv is {message}.*(?:[Ee]xport|Save|Unpack|Download)"):
        read_source(path, RULES)


@pytest.mark.parametrize(
    "header", ["PAR1,PAR2", "ORCHARD,b", "BZh91,b", "[id],[when]", "{id},b", "<5,>5", "PK,b", "Obj,b", '["id"],x']
)
def test_header_with_the_letters_of_another_type_is_text(header: str) -> None:
    assert detect_file_type(header.encode() + b"\n1,2\n") == "text"


def test_orc_file_is_recognized() -> None:
    buffer = io.BytesIO()
    pyarrow.orc.write_table(pa.table({"id": ["a", "b"], "amount": [1.5, 2.0]}), buffer)
    assert detect_file_type(buffer.getvalue()) == "orc"


@pytest.mark.parametrize("text", ["ORC\na\nb\n", "ORC\tb\n1\t2\n", "ORC,b\n1,2\n"])
def test_column_named_orc_is_text(text: str) -> None:
    assert detect_file_type(text.encode()) == "text"
