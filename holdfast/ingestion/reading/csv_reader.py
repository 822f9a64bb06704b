"""Reader of CSV and whitespace-separated text: a table of strings, and the malformed lines."""

import csv
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.source import MalformedLines, RowIssue, SourceFile

_BLOCK = 64 * 1024 * 1024  # bytes parsed at once, which limits the length of a row
_HEADER = 1024 * 1024
_STRAY_QUOTE = "a stray quote made one value of several rows"


def read_csv(name: str, content: bytes, mapping: ColumnMapping) -> SourceFile:
    """Parse text into string columns.

    Args:
        name: Name of the file, for error messages.
        content: Bytes of the file, decompressed.
        mapping: Encoding, delimiter and quoting.

    Returns:
        File with string columns.

    Raises:
        IngestError: The bytes are no text in the mapping's encoding, or no table.
    """
    text = _to_utf8(name, content, mapping).lstrip(b"\r\n")
    if not text.strip():
        raise IngestError(f"{name} is empty. Check the export that wrote it.")
    quoted = mapping.quoted
    delimiter = mapping.delimiter
    if delimiter == "whitespace":
        text = b"\n".join(b"\t".join(line.split()) for line in text.splitlines())
        delimiter, quoted = "\t", False
    text += b"" if text.endswith(b"\n") else b"\n"

    header = _read_header(text, delimiter, quoted)
    columns = [f"c{position}" for position in range(len(header))]  # unique, whatever the header holds
    numbers: list[int] = []
    texts: list[str] = []

    def collect_malformed(row: Any) -> str:
        numbers.append(row.number - 1)
        texts.append(row.text)
        return "skip"

    try:
        table = pacsv.read_csv(
            pa.BufferReader(text),
            # Arrow reports row numbers only to a single thread.
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=_BLOCK, column_names=columns, skip_rows_after_names=1
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
                invalid_row_handler=collect_malformed,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types={column: pa.string() for column in columns}, strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise IngestError(
            f'{name} is not a table of text ({error}). Check that it is CSV; if the character " is not used '
            "to quote values, set `quoted: false` in the mapping."
        ) from error
    table = table.rename_columns(header)
    malformed = MalformedLines(np.array(numbers, dtype=np.int64), np.array(texts, dtype=object))
    total = table.num_rows + len(numbers)
    row_numbers = np.setdiff1d(np.arange(1, total + 1), malformed.row_numbers, assume_unique=True)
    issues: list[RowIssue] = []
    if quoted:
        _require_closed_quotes(name, text, table, malformed)
        issues.append(RowIssue(_STRAY_QUOTE, _find_stray_quotes(table, text, delimiter)))
    return SourceFile(name, table, row_numbers, malformed, issues=tuple(issue for issue in issues if issue.rows.any()))


def _to_utf8(name: str, content: bytes, mapping: ColumnMapping) -> bytes:
    """Re-encode text as UTF-8 without a byte order mark."""
    encoding = mapping.encoding
    if encoding == "utf-8" and content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        line = content.count(b"\n", 0, at) + 1
        if b"\x00" in content[:_HEADER] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise IngestError(f"{name} is binary, not a table of text. Give a CSV or Parquet file.") from error
        raise IngestError(
            f"{name} is not {encoding} text: line {line} has the byte 0x{content[at]:02x}. "
            "Set `encoding:` in the mapping, for example latin-1, cp1252 or utf-16."
        ) from error
    if "\x00" in text:
        raise IngestError(
            f"{name} contains NUL characters: it is binary or in another encoding. Give a CSV or Parquet file, "
            "or set `encoding:` in the mapping, for example utf-16."
        )
    return content if encoding == "utf-8" else text.removeprefix("\ufeff").encode()


def _read_header(text: bytes, delimiter: str, quoted: bool) -> list[str]:
    """Return the stripped column names; a column without a name is named by its position."""
    lines = io.StringIO(text[:_HEADER].decode(errors="ignore"), newline="")
    if quoted:
        names = next(csv.reader(lines, delimiter=delimiter))
    else:
        names = next(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
    return [name.strip() or f"(column {position})" for position, name in enumerate(names, 1)]


def _find_stray_quotes(table: pa.Table, text: bytes, delimiter: str) -> np.ndarray:
    """Mark the rows that swallowed other rows between two stray quotes.

    The criterion: a value contains a line with as many delimiters as a row, and the text does not contain that value
    in properly quoted form.
    """
    stray_quotes = np.zeros(table.num_rows, dtype=bool)
    for column in table.columns:
        offset = 0  # values occur in the text in the order of their rows
        for row in np.flatnonzero(pc.match_substring(column, "\n").to_numpy(zero_copy_only=False)):
            value = column[int(row)].as_py()
            if all(line.count(delimiter) != table.num_columns - 1 for line in value.split("\n")[1:]):
                continue
            found = text.find(f'"{value.replace(chr(34), chr(34) * 2)}"'.encode(), offset)
            stray_quotes[row] |= found < 0
            offset = max(found, offset)
    return stray_quotes


def _require_closed_quotes(name: str, text: bytes, table: pa.Table, malformed: MalformedLines) -> None:
    """Reject a quote that is never closed: it would silently turn the rest of the file into one value."""
    total = table.num_rows + len(malformed.row_numbers)
    if total == 0 or text.count(b'"') % 2 == 0 or text.rstrip().endswith(b'"'):
        return
    if total in malformed.row_numbers:
        is_open = "\n" in malformed.texts[-1].rstrip("\r\n")
    else:
        is_open = table.columns[-1][-1].as_py().endswith("\n")
    if is_open:
        raise IngestError(
            f"{name}: a quoted value that starts in row {total} is never closed and swallows the rest of "
            'the file. Correct the row, or set `quoted: false` in the mapping if the character " is an ordinary one.'
        )
