"""Reader of CSV and whitespace-separated text: a table of strings, and the malformed lines."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.csv_quotes import find_stray_quotes, require_closed_quotes
from holdfast.ingestion.reading.header import fit_names, name_columns, read_lines, require_columns
from holdfast.ingestion.reading.last_row import check_last_row
from holdfast.ingestion.reading.layout_rows import set_aside_layout_rows
from holdfast.ingestion.reading.source import MalformedLines, RowIssue, SourceFile
from holdfast.ingestion.reading.text_encoding import decode_text

_BLOCK = 64 * 1024 * 1024  # bytes parsed at once, which limits the length of a row
_HEADER = 1024 * 1024
_SEPARATOR_LINE = re.compile(rb'\A"?sep=(\\t|.)"?[ ,;\t]*(?:\r\n|\r|\n)', re.IGNORECASE)
_MARK = b"\xef\xbb\xbf"  # byte order mark of UTF-8
_STRAY_QUOTE = "a stray quote made one value of several rows"
_WRONG_FIELD_COUNT = "wrong number of fields"


def read_csv(name: str, content: bytes, mapping: ColumnMapping) -> SourceFile:
    """Parse text into string columns.

    Args:
        name: Name of the file, for error messages.
        content: Bytes of the file, decompressed.
        mapping: Encoding, delimiter, quoting, and the layout around the header.

    Returns:
        File with string columns.

    Raises:
        IngestError: The bytes are no text in the mapping's encoding, no table, or end within a row.
    """
    text, notes = decode_text(name, content, mapping.encoding)
    text, mapping, skipped = _skip_to_header(text, mapping)
    if not text or text.isspace():
        remedy = "lower `skip_rows` in the mapping" if mapping.skip_rows else "check the export that wrote it"
        raise IngestError(
            f"{name} is empty{f' below its first {mapping.skip_rows} lines' if mapping.skip_rows else ''}: {remedy}."
        )
    if mapping.delimiter == "whitespace":
        end = b"\n" if text.endswith((b"\n", b"\r")) else b""
        text = b"\n".join(b"\t".join(line.split()) for line in text.splitlines()) + end
        mapping = mapping.model_copy(update={"delimiter": "\t", "quoted": False})
    header = _read_header(name, text, mapping, skipped)
    is_terminated = text.endswith((b"\n", b"\r")) or not text[text.rfind(b"\n") + 1 :].strip()
    table, malformed = _parse(name, text if is_terminated else text + b"\n", header, mapping)
    if table.num_rows == 0 and len(malformed.texts) > 0:
        raise IngestError(
            f"{name}: no line has the {len(header)} fields of the header; the first is "
            f"{malformed.texts[0].strip()[:200]!r}. Correct `delimiter`, `quoted` or `skip_rows` in the mapping, or "
            "name all columns in `column_names` and skip the header."
        )
    row_numbers = np.setdiff1d(
        np.arange(1, table.num_rows + len(malformed.row_numbers) + 1), malformed.row_numbers, assume_unique=True
    )
    issues = []
    if not is_terminated:
        issues.append(check_last_row(name, text, table, malformed, mapping))
    if mapping.quoted:
        require_closed_quotes(name, text, table, malformed)
        issues.append(RowIssue(_STRAY_QUOTE, find_stray_quotes(table, text, mapping.delimiter)))
    found = tuple(issue for issue in issues if issue is not None and issue.rows.any())
    file = SourceFile(name, table, row_numbers, malformed, issues=found, notes=notes)
    return set_aside_layout_rows(file, mapping)


def _skip_to_header(text: bytes, mapping: ColumnMapping) -> tuple[bytes, ColumnMapping, int]:
    """Return the text from its header on, the mapping with the delimiter of a ``sep=`` line, and the lines before."""
    text = text.rstrip(b"\x1a")  # end of file of DOS programs
    if b"\n" not in text:  # line ends of old Macintosh programs
        text = text.replace(b"\r", b"\n")
    if b"\n" + _MARK in text:  # files written one behind the other
        text = text.replace(b"\n" + _MARK, b"\n")
    skipped = mapping.skip_rows
    for _ in range(skipped):
        text = text[text.find(b"\n") + 1 :] if b"\n" in text else b""
    if separator := _SEPARATOR_LINE.match(text):
        text = text[separator.end() :]
        skipped += 1
        delimiter = separator[1].replace(b"\\t", b"\t")
        header = text[: text.find(b"\n")]
        if mapping.delimiter == "," and header.count(delimiter) >= header.count(b","):
            mapping = mapping.model_copy(update={"delimiter": delimiter.decode()})
    start = len(text) - len(text.lstrip(b"\r\n"))
    return text[start:], mapping, skipped + text[:start].count(b"\n")


def _read_header(name: str, text: bytes, mapping: ColumnMapping, skipped: int) -> list[str]:
    start = text[:_HEADER].decode(errors="ignore")
    lines = start.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    names, *rows = read_lines(start, mapping.delimiter, mapping.quoted, 2)
    names = fit_names(names, rows[0] if rows else [])
    if mapping.column_names is None:
        names = name_columns(names)
        if not mapping.join:  # a joined file may have the column
            require_columns(name, names, mapping, lines, skipped)
        return names
    if len(names) != len(mapping.column_names):
        raise IngestError(
            f"{name} has {len(names)} columns in its first line, and `column_names` in the mapping has "
            f"{len(mapping.column_names)}. Name each column once, from the left."
        )
    return list(mapping.column_names)


def _parse(name: str, text: bytes, header: list[str], mapping: ColumnMapping) -> tuple[pa.Table, MalformedLines]:
    columns = [f"c{position}" for position in range(len(header))]  # unique, whatever the header holds
    numbers: list[int] = []
    texts: list[str] = []
    header_rows = 0 if mapping.column_names else 1

    def collect_malformed(row: Any) -> str:
        numbers.append(row.number - header_rows)
        texts.append(row.text)
        return "skip"

    try:
        table = pacsv.read_csv(
            pa.BufferReader(text),
            # Arrow reports row numbers only to a single thread.
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=_BLOCK, column_names=columns, skip_rows_after_names=header_rows
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=mapping.delimiter,
                quote_char='"' if mapping.quoted else False,
                newlines_in_values=mapping.quoted,
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
    reasons = np.full(len(numbers), _WRONG_FIELD_COUNT, dtype=object)
    malformed = MalformedLines(np.array(numbers, dtype=np.int64), np.array(texts, dtype=object), reasons)
    return table.rename_columns(header), malformed
