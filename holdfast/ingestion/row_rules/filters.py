"""Rows that a mapping leaves out by conditions: ``where`` and ``where_not``."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.row_rules.condition_values import describe_values, find_absent_values
from holdfast.ingestion.row_rules.conditions import find_matching_rows, read_raw_column


def find_filtered_rows(files: Sequence[SourceFile], mapping: ColumnMapping) -> tuple[np.ndarray, list[str]]:
    """Find the rows that the conditions of a mapping leave out.

    Args:
        files: Files that share the mapping.
        mapping: Mapping with the conditions.

    Returns:
        True for each row that is left out, shape (rows,); and a note per condition.

    Raises:
        IngestError: A value of a condition differs from the values of the column in its case.
    """
    filtered = np.zeros(sum(file.rows.num_rows for file in files), dtype=bool)
    notes = []
    for key, conditions in (("where", mapping.where), ("where_not", mapping.where_not)):
        for name, condition in conditions.items():
            text = read_raw_column(files, name)
            notes += find_absent_values(key, name, condition, text)
            matching = find_matching_rows(files, name, condition)
            left_out = matching if key == "where_not" else ~matching
            if left_out.any():
                values = describe_values(text.filter(pa.array(left_out)))
                notes.append(f"{key} leaves out {left_out.sum():,} rows by column {name!r}: {values}.")
            filtered |= left_out
    return filtered, notes


def require_rows(files: Sequence[SourceFile], mapping: ColumnMapping, name: str) -> None:
    """Reject conditions that leave no row of a source.

    Args:
        files: Files of the source before the conditions.
        mapping: Mapping with the conditions.
        name: Name of the source.

    Raises:
        IngestError: Always, with the values of the columns.
    """
    columns = list(dict.fromkeys([*mapping.where, *mapping.where_not]))
    found = "; ".join(f"column {column!r} has {describe_values(read_raw_column(files, column))}" for column in columns)
    raise IngestError(
        f"{name}: `where` and `where_not` leave no row: {found}. Write the values in the mapping as they are in the "
        "source."
    )
