"""Conditions on the text of a column."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.ingestion.mapping_rules import Condition
from holdfast.ingestion.parsing.columns import read_text_column
from holdfast.ingestion.reading.source import SourceFile


def read_raw_column(files: Sequence[SourceFile], name: str) -> pa.StringArray:
    """Read a column of files as trimmed strings, with "" for a blank.

    Args:
        files: Files of a source.
        name: Name of the column.

    Returns:
        Strings of all files, shape (rows,); a whole number of a column of floats without its ``.0``.
    """
    chunks = []
    for file in files:
        column = file.rows.column(name)
        if name in file.types and pa.types.is_floating(file.types[name]):
            column = pc.replace_substring_regex(column, r"\.0$", "")
        chunks += column.chunks
    return pc.utf8_trim_whitespace(pa.chunked_array(chunks, pa.string()).combine_chunks())


def find_matching_rows(files: Sequence[SourceFile], name: str, condition: Condition) -> np.ndarray:
    """Find the rows that meet a condition.

    Args:
        files: Files of a source.
        name: Name of the column.
        condition: Condition on the column.

    Returns:
        True for each row that meets the condition, shape (rows,).
    """
    text = read_raw_column(files, name)
    if condition.starts_with is not None:
        return as_mask(pc.starts_with(text, condition.starts_with))
    values = condition.values or ()
    found = as_mask(pc.is_in(text, value_set=pa.array([value for value in values if value is not None], pa.string())))
    return found | read_text_column(files, name).missing if None in values else found


def as_mask(values: pa.BooleanArray) -> np.ndarray:
    """Convert booleans to an array.

    Args:
        values: Booleans without nulls.

    Returns:
        Array, shape (rows,).
    """
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=bool)
