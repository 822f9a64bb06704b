"""Type of a file by its content, not by its name."""

import io
import re
import zipfile

# First bytes of each type. A cut or renamed file has them as well.
_MAGIC = {
    "gzip": b"\x1f\x8b",
    "zstd": b"\x28\xb5\x2f\xfd",
    "lz4": b"\x04\x22\x4d\x18",
    "xz": b"\xfd7zXZ\x00",
    "arrow": b"ARROW1\x00\x00",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "rar": b"Rar!\x1a\x07",
    "pdf": b"%PDF-",
    "sqlite": b"SQLite format 3\x00",
    "ole": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "avro": b"Obj\x01",
    "hdf5": b"\x89HDF\r\n\x1a\n",
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff",
    "rtf": b"{\\rtf1",
    "lfs": b"version https://git-lfs.github.com/spec/",
}
_MARKUP = re.compile(rb"\s*<(?:!doctype html|html|head|body|table|script|meta|div)\b", re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml")
_JSON = re.compile(rb'\s*(?:\{\s*["}]|\[\s*[\[{])')
_SQL = re.compile(rb"\s*(?:insert into|create table|-- (?:mysql|mariadb|postgresql|phpmyadmin))\b", re.IGNORECASE)
_ZIPPED = {
    "xl/workbook.xml": "workbook",
    "xl/workbook.bin": "workbook",
    "word/document.xml": "docx",
    "ppt/presentation.xml": "pptx",
    "Index/Document.iwa": "numbers",
}

# Types that cannot be read: a noun phrase, and the remedy.
UNREADABLE_TYPES = {
    "7z": ("a 7-Zip archive", "Unpack it"),
    "rar": ("a RAR archive", "Unpack it"),
    "pdf": ("a PDF document", "Export the table as CSV, Parquet or Excel"),
    "sqlite": ("an SQLite database", "Export the table as CSV or Parquet"),
    "duckdb": ("a DuckDB database", "Export the table as CSV or Parquet"),
    "avro": ("an Avro file", "Export the table as CSV or Parquet"),
    "hdf5": ("an HDF5 file", "Export the table as CSV or Parquet"),
    "png": ("an image", "Export the table as CSV, Parquet or Excel"),
    "jpeg": ("an image", "Export the table as CSV, Parquet or Excel"),
    "docx": ("a Word document", "Export the table as CSV, Parquet or Excel"),
    "pptx": ("a PowerPoint document", "Export the table as CSV, Parquet or Excel"),
    "numbers": ("an Apple Numbers document", "Export it as Excel or CSV"),
    "html": (
        "an HTML page: a login or error page, or an HTML table",
        "Download it again after a login; save an HTML table as CSV or Excel with a spreadsheet program",
    ),
    "xml": ("an XML document", "Save it as CSV or Excel with a spreadsheet program"),
    "sql": ("an SQL dump", "Load it into a database, and export the table as CSV or Parquet"),
    "lfs": ("a pointer of Git LFS, not the file itself", "Download the file with `git lfs pull`"),
    "rtf": ("an RTF document", "Export the table as CSV, Parquet or Excel"),
    "json": ("JSON, not a table of text", "Export the table as CSV or Parquet"),
}


def detect_file_type(content: bytes) -> str:
    """Detect the type of a file from its bytes.

    Args:
        content: Bytes of the file.

    Returns:
        ``text``, or the name of a binary, markup or compressed type.
    """
    for name, magic in _MAGIC.items():
        if content.startswith(magic):
            return name
    # Four letters may also begin a header: binary data follow in these types.
    if content.startswith((b"PAR1", b"PARE")) and content[4:5] < b" ":
        return "parquet"
    if content.startswith(b"ORC") and (content[-4:-1] == b"ORC" or b"\x00" in content[:64]):
        return "orc"
    if content.startswith(b"BZh") and content[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "bz2"
    if content[8:12] == b"DUCK":
        return "duckdb"
    if content[257:262] == b"ustar":
        return "tar"
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _detect_zipped_type(content)
    return _detect_text_type(content.removeprefix(b"\xef\xbb\xbf")[:4096])


def _detect_zipped_type(content: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
            if "mimetype" in names and b"opendocument.spreadsheet" in archive.read("mimetype"):
                return "workbook"
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError):
        return "zip"
    return next((kind for member, kind in _ZIPPED.items() if member in names), "zip")


def _detect_text_type(start: bytes) -> str:
    if _MARKUP.match(start):
        return "html"
    if _XML.match(start):
        return "html" if b"<html" in start.lower() else "xml"
    if _SQL.match(start):
        return "sql"
    return "json" if _JSON.match(start) else "text"
