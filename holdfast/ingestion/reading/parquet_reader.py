"""Reader of Parquet files: typed columns as the strings of a CSV."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from holdfast.core.errors import IngestError
from holdfast.ingestion.reading.source import SourceFile


def read_parquet(name: str, content: bytes) -> SourceFile:
    """Read a Parquet file as string columns.

    Args:
        name: Name of the file.
        content: Bytes of the file.

    Returns:
        File with string columns.

    Raises:
        IngestError: The bytes are no readable Parquet file.
    """
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise IngestError(f"{name} is not a readable Parquet file ({error}). Copy or export it again.") from error
    typed = frozenset(
        column.name for column in table.schema if not (pa.types.is_string(column.type) or _is_text(column.type))
    )
    columns = [_as_text(column) for column in table.columns]
    rows = pa.table(columns, names=table.column_names)
    return SourceFile(name=name, rows=rows, row_numbers=np.arange(1, rows.num_rows + 1), typed_columns=typed)


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _as_text(column: Any) -> Any:
    """Convert a column to the strings of a CSV: shortest exact numbers, ISO 8601 times, "" for missing."""
    if pa.types.is_float64(column.type):
        text = pa.array([None if v is None or v != v else repr(v) for v in column.to_pylist()], pa.string())
    else:
        try:
            text = pc.cast(column, pa.string())
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # lists, structs, bytes
            text = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_timestamp(column.type):
        text = pc.replace_substring_regex(text, r"\.0+($|[Z+-])", r"\1")
    elif pa.types.is_floating(column.type):
        text = pc.if_else(pc.equal(text, "nan"), "", text)
    return pc.fill_null(text, "")
