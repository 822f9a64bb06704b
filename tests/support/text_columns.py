"""Columns of text for tests of parsers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.parsing.columns import TextColumn, read_text_column
from holdfast.ingestion.reading.source import SourceFile


def build_column(values: Sequence[str | None], kind: pa.DataType | None = None, **columns: Sequence[str]) -> TextColumn:
    """Build a column of one file.

    Args:
        values: Value of each row.
        kind: Type of the column in its file format; None for text.
        **columns: Other columns of the file.

    Returns:
        Column with the name ``value``.
    """
    rows = pa.table({"value": pa.array([value or "" for value in values], pa.string()), **columns})
    types = {} if kind is None else {"value": kind}
    file = SourceFile("values.csv", rows, np.arange(1, len(values) + 1), types=types)
    return read_text_column([file], "value")


def build_mapping(**keys: Any) -> ColumnMapping:
    """Build a mapping of a column of values.

    Args:
        **keys: Keys of the mapping in addition to its columns.

    Returns:
        Mapping with the amount in the column ``value``.
    """
    columns = {"customer_id": "id", "event_timestamp": "when", "amount": "value"} | keys.pop("columns", {})
    return ColumnMapping.model_validate({"columns": columns, **keys})
