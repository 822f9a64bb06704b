"""Readers of files with typed columns: Parquet, Arrow IPC (Feather) and ORC."""

import base64

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.source import SourceFile
from holdfast.ingestion.reading.typed_table import convert_table


def read_parquet(name: str, content: bytes, mapping: ColumnMapping) -> SourceFile:
    """Read a Parquet file as string columns.

    Args:
        name: Name of the file.
        content: Bytes of the file.
        mapping: Column mapping.

    Returns:
        File with string columns.

    Raises:
        IngestError: The bytes are no readable Parquet file, or a mapped column has a type without one reading.
    """
    if content.startswith(b"PARE"):
        raise IngestError(f"{name} is an encrypted Parquet file. Write it without encryption.")
    try:
        # Nanoseconds cannot hold every INT96 time. From bytes, a path's key=value folders never become columns.
        file = pq.ParquetFile(pa.BufferReader(content), coerce_int96_timestamp_unit="us")
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        problem = str(error).strip().rstrip(".")
        if "encrypt" in problem.lower() or "decrypt" in problem.lower():
            raise IngestError(f"{name} is an encrypted Parquet file. Write it without encryption.") from error
        raise IngestError(f"{name} is not a readable Parquet file ({problem}). Copy or export it again.") from error
    columns = (file.schema.column(position) for position in range(len(file.schema.names)))
    zoneless = [column.path for column in columns if column.physical_type == "INT96"]
    instants = _find_instants(file)
    for position, label in enumerate(table.column_names):
        column = table.column(position)
        if label in zoneless and label in instants and pa.types.is_timestamp(column.type) and column.type.tz is None:
            table = table.set_column(
                position, label, column.cast(pa.int64()).cast(pa.timestamp(column.type.unit, "UTC"))
            )
    zoneless = [label for label in zoneless if label not in instants]
    when = mapping.columns.event_timestamp
    note = (
        f"{name}: column {when!r} has the type INT96, which has no time zone: it was read as local time in "
        f"{mapping.time_zone}. Spark writes INT96 in UTC: if Spark wrote this file, set `time_zone: UTC`."
    )
    return convert_table(name, table, mapping, (note,) if when in zoneless and mapping.time_zone != "UTC" else ())


def _find_instants(file: pq.ParquetFile) -> set[str]:
    """Return the columns that had a time zone when Arrow wrote the file, which INT96 values themselves lose."""
    stored = (file.metadata.metadata or {}).get(b"ARROW:schema")
    if stored is None:
        return set()
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
    return {field.name for field in schema if pa.types.is_timestamp(field.type) and field.type.tz is not None}


def read_arrow(name: str, content: bytes, mapping: ColumnMapping) -> SourceFile:
    """Read an Arrow IPC (Feather) file as string columns.

    Args:
        name: Name of the file.
        content: Bytes of the file.
        mapping: Column mapping.

    Returns:
        File with string columns.

    Raises:
        IngestError: The bytes are no readable Arrow file, or a mapped column has a type without one reading.
    """
    try:
        table = pa.feather.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise IngestError(f"{name} is not a readable Arrow file ({error}). Copy or export it again.") from error
    return convert_table(name, table, mapping)


def read_orc(name: str, content: bytes, mapping: ColumnMapping) -> SourceFile:
    """Read an ORC file as string columns.

    Args:
        name: Name of the file.
        content: Bytes of the file.
        mapping: Column mapping.

    Returns:
        File with string columns.

    Raises:
        IngestError: The bytes are no readable ORC file, or a mapped column has a type without one reading.
    """
    try:
        table = pa.orc.ORCFile(pa.BufferReader(content)).read()
    except (pa.ArrowException, OSError) as error:
        raise IngestError(f"{name} is not a readable ORC file ({error}). Copy or export it again.") from error
    return convert_table(name, table, mapping)
