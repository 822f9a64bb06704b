"""Rows that a mapping leaves out by conditions: ``where`` and ``where_not``."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.row_rules.conditions import find_matching_rows, read_raw_column

_LISTED_VALUES = 3


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
            if absent := _find_absent_values(text, condition.values or ()):
                _require_same_case(key, name, absent, text)
                listed = ", ".join(map(repr, absent))
                notes.append(f"{key}: no row has {listed} in column {name!r}; it has {describe_values(text)}.")
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


def describe_values(text: pa.StringArray) -> str:
    """Describe the most frequent values of a column.

    Args:
        text: Values of the column.

    Returns:
        Text such as ``'paid' (12), blank (3) and 2 more values``.
    """
    counts = pc.value_counts(text)
    order = np.argsort(-counts.field("counts").to_numpy(), kind="stable")[:_LISTED_VALUES]
    top = [counts[int(position)].as_py() for position in order]
    listed = ", ".join(f"{repr(item['values']) if item['values'] else 'blank'} ({item['counts']:,})" for item in top)
    more = len(counts) - len(top)
    return listed + (f" and {more:,} more value{'s' if more > 1 else ''}" if more else "")


def _find_absent_values(text: pa.StringArray, values: Sequence[str | None]) -> list[str]:
    given = [value for value in values if value is not None]
    found = pc.is_in(pa.array(given, pa.string()), value_set=pc.unique(text)).to_pylist()
    return [value for value, is_found in zip(given, found, strict=True) if not is_found]


def _require_same_case(key: str, name: str, absent: list[str], text: pa.StringArray) -> None:
    found = {value.casefold(): value for value in pc.unique(text).to_pylist()}
    for value in absent:
        if value.casefold() in found:
            raise IngestError(
                f"Column {name!r} has no value {value!r}, which `{key}` in the mapping names, but "
                f"{found[value.casefold()]!r}. Write the value as it is in the source: it has {describe_values(text)}."
            )
