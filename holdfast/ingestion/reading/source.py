"""Source (file or folder) as read: values as strings, malformed lines separately."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class RowIssue:
    """Reason for quarantine.

    Attributes:
        reason: Text that is stored with the row.
        rows: True for the affected rows, shape (rows,).
        counted: False where the mapping sets such rows aside on purpose: they count for no limit of bad rows.
    """

    reason: str
    rows: np.ndarray
    counted: bool = True


@dataclass(frozen=True)
class MalformedLines:
    """Lines that are no rows: with too many or too few fields, repeated headers, totals.

    Attributes:
        row_numbers: 1-based data row numbers, shape (lines,).
        texts: Text of each line, shape (lines,).
        reasons: Reason for quarantine of each line, shape (lines,).
    """

    row_numbers: np.ndarray = field(default_factory=lambda: np.array([], dtype=np.int64))
    texts: np.ndarray = field(default_factory=lambda: np.array([], dtype=object))
    reasons: np.ndarray = field(default_factory=lambda: np.array([], dtype=object))


@dataclass(frozen=True)
class SourceFile:
    """File of a source.

    Attributes:
        name: Name of the file.
        rows: A string column per column of the file; a missing value is ``""``.
        row_numbers: 1-based data row number of each row of ``rows``.
        malformed: Lines that do not fit the header.
        types: Type of each column that is not text in its file format (Parquet, Excel); empty for CSV.
        issues: Reasons for quarantine that the layout of the file gives, such as a totals row.
        notes: Sentences for the person who ingests the source.
        of_refunds: True for returns in the refund column of other rows of the source.
    """

    name: str
    rows: pa.Table
    row_numbers: np.ndarray
    malformed: MalformedLines = field(default_factory=MalformedLines)
    types: dict[str, pa.DataType] = field(default_factory=dict)
    issues: tuple[RowIssue, ...] = ()
    notes: tuple[str, ...] = ()
    of_refunds: bool = False

    @property
    def rows_read(self) -> int:
        """Return the number of rows and malformed lines."""
        return self.rows.num_rows + len(self.malformed.row_numbers)

    def take(self, positions: np.ndarray) -> Self:
        """Select rows; malformed lines stay.

        Args:
            positions: Positions in ``rows``, shape (selected,).

        Returns:
            File with the selected rows.
        """
        return replace(
            self,
            rows=self.rows.take(positions),
            row_numbers=self.row_numbers[positions],
            issues=tuple(replace(issue, rows=issue.rows[positions]) for issue in self.issues),
        )


@dataclass(frozen=True)
class FileReport:
    """Result of reading one file of a folder.

    Attributes:
        name: Path within the folder.
        rows_read: Rows and malformed lines that were read from the file.
        reason: Reason why the file, or rows of it, were left out; "" otherwise.
    """

    name: str
    rows_read: int
    reason: str = ""


@dataclass(frozen=True)
class Source:
    """File, or folder of files that form one table.

    Attributes:
        name: Name of the file or folder.
        sha256: Digest of the contents, not of the names.
        files: Files with rows.
        notes: Sentences for the person who ingests the source.
        files_sha256: Digest of the content of each file.
        file_reports: One report per file or folder in a folder; none for a source that is a file.
    """

    name: str
    sha256: str
    files: list[SourceFile]
    notes: tuple[str, ...] = ()
    files_sha256: tuple[str, ...] = ()
    file_reports: tuple[FileReport, ...] = ()

    @property
    def rows_read(self) -> int:
        """Return the number of rows and malformed lines of all files."""
        return sum(file.rows_read for file in self.files)
