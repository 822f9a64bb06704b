"""Column of a source as text, and as parsed values with the reasons of unreadable ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.formatting import format_count
from holdfast.ingestion.reading.source import RowIssue as RowIssue
from holdfast.ingestion.reading.source import SourceFile

if TYPE_CHECKING:
    from holdfast.ingestion.column_mapping import ColumnMapping

# Notations of a missing value in exports, in lower case; MySQL and PostgreSQL write \N.
MISSING_VALUES = ["", "nan", "none", "null", "na", "n/a", "<na>", "nat", "\\n"]


@dataclass(frozen=True)
class TextColumn:
    """Column of one or more files of a source, which share one mapping.

    Attributes:
        name: Name of the column in the source.
        text: Trimmed strings of all files, in the order of the files; null where a value is missing. Shape (rows,).
        files: Files of the rows.
        type: Type of the column in its file format (Parquet, Excel); None for text, which follows the mapping's
            notation.
    """

    name: str
    text: pa.StringArray
    files: tuple[SourceFile, ...]
    type: pa.DataType | None = None

    @property
    def is_time(self) -> bool:
        """Return True for dates and timestamps, whose text is ISO 8601 whatever the mapping's format."""
        return self.type is not None and (pa.types.is_timestamp(self.type) or pa.types.is_date(self.type))

    @property
    def is_number(self) -> bool:
        """Return True for numbers, whose text is plain whatever the mapping's notation."""
        kind = self.type
        return kind is not None and bool(
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        )

    @property
    def missing(self) -> np.ndarray:
        """Return True for each row without a value, shape (rows,)."""
        return np.asarray(pc.is_null(self.text).to_numpy(zero_copy_only=False))

    def describe_values(self, rows: np.ndarray, limit: int = 3) -> str:
        """Describe the first values of selected rows for an error message, with file and row number.

        Args:
            rows: True for the selected rows, shape (rows,).
            limit: Largest number of values.

        Returns:
            Text such as ``'1.5' (sales.csv, row 4), '2.5' (sales.csv, row 9)``.
        """
        positions = [int(position) for position in np.flatnonzero(rows)[:limit]]
        return ", ".join(f"{self.text[i].as_py()!r} ({locate_row(self.files, i)})" for i in positions)


@dataclass(frozen=True)
class ParsedColumn:
    """Typed values of a column.

    Attributes:
        values: Value of each row, null where none is readable, shape (rows,).
        issues: Reasons why present values are null.
        notes: Sentences for the person who ingests the source.
    """

    values: pd.Series
    issues: tuple[RowIssue, ...] = ()
    notes: tuple[str, ...] = ()


Parser = Callable[[TextColumn, str, "ColumnMapping"], ParsedColumn]  # of a column, a field and a mapping


def locate_row(files: Sequence[SourceFile], position: int) -> str:
    """Name the file and the number of a row.

    Args:
        files: Files, in the order of their rows.
        position: Position of the row among the rows of all files.

    Returns:
        Text such as ``sales.csv, row 4``.
    """
    ends = np.cumsum([file.rows.num_rows for file in files])
    number = int(np.searchsorted(ends, position, side="right"))
    file = files[number]
    return f"{file.name}, row {file.row_numbers[position - (ends[number] - file.rows.num_rows)]}"


def read_text_column(files: Sequence[SourceFile], name: str) -> TextColumn:
    """Read a column of files as trimmed strings, null where a value is missing.

    Args:
        files: Files of one source, with the same type in this column.
        name: Name of the column.

    Returns:
        Column over the rows of all files.
    """
    chunks = [chunk for file in files for chunk in file.rows.column(name).chunks]
    text = pc.utf8_trim_whitespace(pa.chunked_array(chunks, pa.string()).combine_chunks())
    missing = pc.is_in(pc.utf8_lower(text), value_set=pa.array(MISSING_VALUES))
    text = pc.if_else(missing, pa.scalar(None, pa.string()), text)
    return TextColumn(name, text, tuple(files), files[0].types.get(name))


def find_unreadable(column: TextColumn, values: pd.Series, noun: str, field: str) -> RowIssue:
    """Find the rows whose value is present and not readable.

    Args:
        column: Column as text.
        values: Parsed values.
        noun: Kind of value with its article, for the reason.
        field: Transaction field, for the reason.

    Returns:
        Issue of those rows, perhaps of none.
    """
    return RowIssue(f"{field} is not {noun}", values.isna().to_numpy() & ~column.missing)


def merge_issues(issues: Sequence[RowIssue]) -> list[RowIssue]:
    """Merge the issues that have the same reason.

    Args:
        issues: Issues of the same rows.

    Returns:
        One issue per reason, in the order of the first ones.
    """
    merged: dict[str, RowIssue] = {}
    for issue in issues:
        earlier = merged.get(issue.reason)
        merged[issue.reason] = replace(issue, rows=earlier.rows | issue.rows) if earlier else issue
    return list(merged.values())


def describe_issue(column: TextColumn, issue: RowIssue, values: np.ndarray | None = None, reading: str = "") -> str:
    """Describe the values of a column that go to quarantine for one reason.

    Args:
        column: Column as text.
        issue: Reason and rows.
        values: Possible value of each row, shape (rows,); without it, no sum is given.
        reading: Reading that gives these values.

    Returns:
        Sentences with examples and the sum at stake.
    """
    found = (
        f"Column {column.name!r}: {issue.reason} in {format_count(issue.rows.sum(), 'row')}, for example "
        f"{column.describe_values(issue.rows)}."
    )
    if values is None:
        return found
    return f"{found} Read with {reading}, these values add up to {np.nansum(values[issue.rows]):,.2f}."
