"""Quotes of CSV text that swallow rows."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.reading.source import MalformedLines

_LINE_END = re.compile(rb"\n")


def find_stray_quotes(table: pa.Table, text: bytes, delimiter: str) -> np.ndarray:
    """Mark the rows that swallowed other rows between two stray quotes.

    The criterion: a value contains a line with as many delimiters as a row, and the text does not contain that value
    in properly quoted form.

    Args:
        table: String columns.
        text: Text from which the table was read.
        delimiter: Delimiter of the columns.

    Returns:
        True for each such row, shape (rows,).
    """
    stray_quotes = np.zeros(table.num_rows, dtype=bool)
    if b'"' not in text:
        return stray_quotes
    for column in table.columns:
        if not _has_line_end(column):
            continue
        offset = 0  # values occur in the text in the order of their rows
        for row in np.flatnonzero(pc.match_substring(column, "\n").to_numpy(zero_copy_only=False)):
            value = column[int(row)].as_py()
            if all(line.count(delimiter) != table.num_columns - 1 for line in value.split("\n")[1:]):
                continue
            found = text.find(_quote(value), offset)
            stray_quotes[row] |= found < 0
            offset = max(found, offset)
    return stray_quotes


def require_closed_quotes(name: str, text: bytes, table: pa.Table, malformed: MalformedLines) -> None:
    """Reject a quote that is never closed: it would silently turn the rest of the file into one value.

    Args:
        name: Name of the file.
        text: Text from which the table was read.
        table: String columns.
        malformed: Lines that do not fit the header.

    Raises:
        IngestError: A quoted value swallows the rest of the file.
    """
    total = table.num_rows + len(malformed.row_numbers)
    if total == 0 or text.count(b'"') % 2 == 0:
        return
    end = text.rstrip()
    if total in malformed.row_numbers:
        is_open = not end.endswith(b'"') and "\n" in malformed.texts[-1].rstrip("\r\n")
    else:
        value = table.columns[-1][-1].as_py()
        is_open = "\n" in value and not end.endswith(_quote(value))
    if is_open:
        raise IngestError(
            f"{name}: a quoted value that starts in row {total} is never closed and swallows the rest of "
            'the file. Correct the row, or set `quoted: false` in the mapping if the character " is an ordinary one.'
        )


def _has_line_end(column: pa.ChunkedArray) -> bool:
    """Search all values at once, which takes a fraction of the time of a search in each value."""
    return any(_LINE_END.search(chunk.buffers()[2] or b"") for chunk in column.chunks)


def _quote(value: str) -> bytes:
    """Write a value as a properly quoted one."""
    doubled = value.replace('"', '""')
    return f'"{doubled}"'.encode()
