"""Header of a table: column names, and what is wrong where a mapped column is missing."""

import csv
import io
import re
from collections.abc import Sequence
from itertools import islice

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.column_names import describe_missing_column

_DELIMITERS = (",", ";", "\t", "|", ":", "^", "whitespace")
_LINES = 50  # lines in which a header is searched
_VALUE = re.compile(r"^[-+]?[\d.,]*\d$|^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b")


class MissingColumnError(IngestError):
    """File without a mapped column, and without a sign of how to read it otherwise."""


def read_lines(text: str, delimiter: str, quoted: bool, count: int = 1) -> list[list[str]]:
    """Read the cells of the first lines.

    Args:
        text: Text that starts with the header.
        delimiter: Delimiter of the columns.
        quoted: True where ``"`` quotes values.
        count: Largest number of lines; blank lines are not counted.

    Returns:
        Cells of each line, at least of the header.
    """
    lines = io.StringIO(text, newline="")
    if quoted:
        rows = csv.reader(lines, delimiter=delimiter)
    else:
        rows = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return list(islice((row for row in rows if row), count)) or [[]]


def fit_names(names: list[str], row: Sequence[str]) -> list[str]:
    """Add or drop the nameless column of a delimiter at the end of each row, or of the header only.

    Args:
        names: Cells of the header.
        row: Cells of the first row.

    Returns:
        Cells of the header, as many as the row has if they differ by such a delimiter.
    """
    if len(row) == len(names) + 1 and not row[-1].strip():
        return [*names, ""]
    if len(row) == len(names) - 1 and not names[-1].strip():
        return names[:-1]
    return names


def name_columns(names: Sequence[str]) -> list[str]:
    """Strip column names; a column without a name is named by its position.

    Args:
        names: Cells of the header.

    Returns:
        Name of each column.
    """
    return [name.strip().strip("\ufeff\u200b") or f"(column {position})" for position, name in enumerate(names, 1)]


def require_columns(
    name: str, found: Sequence[str], mapping: ColumnMapping, lines: Sequence[str], skipped: int
) -> None:
    """Require each mapped column once in the header of a text file.

    Args:
        name: Name of the file.
        found: Columns of the file.
        mapping: Mapping of the file.
        lines: First lines of the file, from the header on.
        skipped: Lines of the file before them.

    Raises:
        IngestError: A mapped column is missing, or a name occurs twice; the message has the likely remedy.
    """
    wrong = [column for column in mapping.required_columns if found.count(column) != 1]
    if wrong:
        remedy = None if wrong[0] in found else _find_remedy(wrong[0], found, mapping, lines, skipped)
        error = MissingColumnError if remedy is None and wrong[0] not in found else IngestError
        raise error(describe_missing_column(name, wrong[0], found, remedy))


def _find_remedy(
    column: str, found: Sequence[str], mapping: ColumnMapping, lines: Sequence[str], skipped: int
) -> str | None:
    for position, line in enumerate(lines[:_LINES]):
        for delimiter in dict.fromkeys((mapping.delimiter, *_DELIMITERS)):
            if not _has_columns(line, delimiter, mapping):
                continue
            set_delimiter = f"set `delimiter:` to {delimiter!r} in the mapping"
            if position == 0:
                only = "Only one column was found: " if len(found) == 1 else ""
                return f"{only or 'With another delimiter the header has every mapped column: '}{set_delimiter}."
            also = f", and {set_delimiter}" if delimiter != mapping.delimiter else ""
            return (
                f"Line {skipped + position + 1} has every mapped column and seems to be the header: "
                f"set `skip_rows: {skipped + position}` in the mapping{also}."
            )
    if f"'{column}'" in found:
        return "Names and values are in single quotes: export them with double quotes or without quotes."
    if len(found) == 1 and _has_columns(found[0], mapping.delimiter, mapping):
        return "Each line is quoted as a whole, so that it is one value: export the file again without these quotes."
    if len(found) > 1 and any(_VALUE.match(label) for label in found):
        return (
            f"The first line, {lines[0].strip()[:100]!r}, seems to be a row: the file has no header. "
            "Name its columns with `column_names: [...]` in the mapping."
        )
    return None


def _has_columns(line: str, delimiter: str, mapping: ColumnMapping) -> bool:
    if delimiter == "whitespace":
        names = line.split()
    else:
        try:
            names = name_columns(read_lines(line, delimiter, mapping.quoted)[0])
        except csv.Error:
            return False
    return all(names.count(column) == 1 for column in mapping.required_columns)
