"""Typed columns (Parquet, Arrow, ORC) as the strings of a CSV file: exact numbers, ISO 8601 times."""

import uuid
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.source import SourceFile

_LARGEST_FLOAT = 1e15  # below it, a whole float64 has one spelling as an integer


def convert_table(name: str, table: pa.Table, mapping: ColumnMapping, notes: tuple[str, ...] = ()) -> SourceFile:
    """Convert a typed table to string columns.

    Args:
        name: Name of the file.
        table: Table as read from the file.
        mapping: Mapping, whose columns must have a type with one reading.
        notes: Sentences for the person who ingests the source.

    Returns:
        File with string columns and the types that they had.

    Raises:
        IngestError: A mapped column is nested, a duration, a time of day, or bytes that are neither text nor UUIDs.
    """
    columns, types = [], {}
    for label, column in zip(table.column_names, table.columns, strict=True):
        column = _decode(column)
        text = _to_text(column)
        if label in mapping.required_columns:
            when = mapping.columns.event_timestamp
            is_time_of_day = isinstance(when, tuple) and label in when[1:] and pa.types.is_time(column.type)
            if not is_time_of_day:
                _require_one_reading(name, label, column, text)
        if not _is_text(column.type):
            types[label] = column.type
        columns.append(pc.fill_null(text if text is not None else _to_json(column), ""))
    rows = pa.table(columns, names=table.column_names)
    numbers = np.arange(1, rows.num_rows + 1)
    return SourceFile(name=name, rows=rows, row_numbers=numbers, types=types, notes=notes)


def _decode(column: Any) -> Any:
    """Return the values of an encoded or extension column."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _decode(pc.cast(column, kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        return _decode(pc.run_end_decode(column))
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        return _decode(pc.cast(column, kind.storage_type))
    return column


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )  # fmt: skip


def _to_text(column: Any) -> Any:
    """Convert a column to strings; None where its type has no text."""
    kind = column.type
    if isinstance(kind, pa.UuidType):
        return _uuids(column.cast(kind.storage_type))
    if _is_bytes(kind):
        return _bytes_as_text(column)
    if pa.types.is_nested(kind):
        return None
    if pa.types.is_float64(kind):
        return _floats(column)
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_timestamp(kind):
        return _timestamps(column)
    try:
        text = pc.cast(column, pa.string())
    except pa.ArrowNotImplementedError:
        return None
    if pa.types.is_floating(kind):
        return pc.if_else(pc.equal(text, "nan"), "", text)
    return text


def _timestamps(column: Any) -> Any:
    """Write timestamps in ISO 8601, without a fraction of 0 seconds."""
    kind = column.type
    try:
        return _cast_times(pc.cast(column, pa.timestamp("s", kind.tz)))
    except pa.ArrowInvalid:  # fractions of seconds
        return pc.replace_substring_regex(_cast_times(column), r"\.0+($|[Z+-])", r"\1")


def _cast_times(column: Any) -> Any:
    try:
        return pc.cast(column, pa.string())
    except pa.ArrowInvalid:  # a zone unknown to this machine
        return pc.cast(pc.cast(column, pa.timestamp(column.type.unit, "UTC")), pa.string())


def _floats(column: Any) -> Any:
    """Write each float64 as Python does: ``13085.0``, without an exponent below 1e16."""
    values = column.to_numpy()
    with np.errstate(invalid="ignore"):
        is_whole = (values == np.trunc(values)) & (np.abs(values) < _LARGEST_FLOAT)
    whole = pc.cast(pa.array(np.where(is_whole, values, 0).astype(np.int64)), pa.string())
    text = pc.cast(pa.array(values), pa.string())
    odd = np.flatnonzero(pc.match_substring(text, "e").to_numpy(zero_copy_only=False) & ~is_whole)
    if len(odd):
        spelled = text.to_numpy(zero_copy_only=False)
        spelled[odd] = [repr(value) for value in values[odd].tolist()]
        text = pa.array(spelled, pa.string())
    text = pc.if_else(pa.array(is_whole), pc.binary_join_element_wise(whole, ".0", ""), text)
    return pc.if_else(pa.array(np.isnan(values)), "", text)


def _decimals(column: Any) -> Any:
    text = pc.cast(column, pa.string())
    odd = pc.match_substring(text, "E")  # very small values only
    if not pc.any(odd).as_py():
        return text
    return pa.array([None if value is None else f"{value:f}" for value in column.to_pylist()], pa.string())


def _bytes_as_text(column: Any) -> Any:
    """Convert bytes to text if all are UTF-8, to UUIDs if all have 16 bytes; else None."""
    try:
        text = pc.cast(pc.cast(column, pa.large_binary()), pa.large_string())
    except pa.ArrowInvalid:
        lengths = pc.unique(pc.binary_length(column)).drop_null().to_pylist()
        return _uuids(column) if lengths == [16] else None
    return pc.cast(pc.utf8_rtrim(text, "\x00") if pa.types.is_fixed_size_binary(column.type) else text, pa.string())


def _uuids(column: Any) -> Any:
    encoded = column.combine_chunks().dictionary_encode()
    names = [str(uuid.UUID(bytes=value)) for value in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices)


def _to_json(column: Any) -> Any:
    """Write values without a text form as JSON, for quarantined rows."""
    table = pa.table({"value": column})
    try:
        with duckdb.connect() as connection:
            return connection.from_arrow(table).project("to_json(value)::varchar").to_arrow_table().column(0)
    except duckdb.Error:  # a type that DuckDB does not have
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())


def _require_one_reading(name: str, label: str, column: Any, text: Any) -> None:
    kind = column.type
    if _is_text(kind):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise IngestError(
                f"{name}: column {label!r} holds text that is not UTF-8 ({error}). Write the file again."
            ) from error
    if _is_bytes(kind) and text is None:
        raise IngestError(
            f"{name}: column {label!r} has the type {kind}: bytes that are neither UTF-8 text nor 16-byte UUIDs. "
            "Map another column, or write this one as text."
        )
    if text is None or pa.types.is_duration(kind) or pa.types.is_time(kind):
        part = "A field of a struct can be written as a column of its own" if pa.types.is_struct(kind) else "Write it"
        part += " by the export" if pa.types.is_struct(kind) else " as text, a number or a timestamp"
        raise IngestError(
            f"{name}: column {label!r} has the type {kind}, which is no single text, number or time. "
            f"Map another column. {part}."
        )
