"""Encoder of Arrow columns to the bytes that Feast stores: one serialized value per row.

Feast builds a message per value, which takes most of the time of a materialization: 1,000 doubles take 2 ms there and
0.1 ms here (one core of a virtual machine). tests/unit/feast_stores/test_value_encoder.py compares the two.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.feast_stores._feast_imports import ValueProto

if TYPE_CHECKING:
    from holdfast.core.types import Ints

_NULL = ValueProto().SerializeToString()
_DOUBLE_TAG = ValueProto(double_val=0.0).SerializeToString()[0]
_INT64_TAG = ValueProto(int64_val=0).SerializeToString()[0]
_DOUBLES = np.dtype([("tag", "u1"), ("value", "<f8")])
_VARINT_BYTES = 10  # of the longest integer: seven bits per byte


def encode_values(column: pa.Array, dtype: str) -> list[bytes]:
    """Serialize the values of a column as Feast does; a NaN becomes a null.

    Args:
        column: Values.
        dtype: Type of the feature, a key of ``ENCODERS``.

    Returns:
        Feast's value per row, serialized.
    """
    arrow_type, encode, _ = ENCODERS[dtype]
    return encode(column.cast(arrow_type))


def format_values(column: pa.Array, dtype: str) -> list[str | None]:
    """Format the values of a column as Feast's SQL stores do in the column ``value_text``.

    Args:
        column: Values.
        dtype: Type of the feature, a key of ``ENCODERS``.

    Returns:
        Text per row; None for a null.
    """
    arrow_type, _, text = ENCODERS[dtype]
    cast = column.cast(arrow_type)
    if arrow_type == pa.float64():
        cast = pc.if_else(pc.is_nan(cast), None, cast)
    values = cast.to_numpy(zero_copy_only=False).tolist() if not cast.null_count else cast.to_pylist()
    return [None if value is None else text(value) for value in values] if cast.null_count else list(map(text, values))


def _encode_doubles(column: pa.Array) -> list[bytes]:
    values = column.to_numpy(zero_copy_only=False)  # a null becomes NaN
    records = np.empty(len(values), dtype=_DOUBLES)
    records["tag"], records["value"] = _DOUBLE_TAG, values
    encoded: list[bytes] = records.view(f"V{_DOUBLES.itemsize}").tolist()
    for row in np.flatnonzero(np.isnan(values)).tolist():
        encoded[row] = _NULL
    return encoded


def _encode_integers(column: pa.Array) -> list[bytes]:
    values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    encoded = _encode_varints(values)
    for row in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
        encoded[row] = _NULL
    return encoded


def _encode_varints(values: "Ints") -> list[bytes]:
    """Encode numbers in groups of seven bits, the lowest first; the last byte of a number is below 128."""
    remaining = values.astype(np.int64).view(np.uint64)
    data = np.empty((len(values), 1 + _VARINT_BYTES), dtype=np.uint8)
    data[:, 0] = _INT64_TAG
    lengths = np.zeros(len(values), dtype=np.intp)
    for position in range(1, 1 + _VARINT_BYTES):
        following = remaining >> np.uint64(7)
        data[:, position] = (remaining & np.uint64(127)).astype(np.uint8) | ((following > 0) * np.uint8(128))
        lengths[(lengths == 0) & (following == 0)] = position
        remaining = following
    encoded = np.empty(len(values), dtype=object)
    for length in np.unique(lengths).tolist():
        rows: npt.NDArray[np.intp] = np.flatnonzero(lengths == length)
        block = np.ascontiguousarray(data[rows, : length + 1])
        encoded[rows] = block.view(f"V{length + 1}").ravel().tolist()
    return encoded.tolist()


def _encode_distinct(column: pa.Array, field: str) -> list[bytes]:
    """Encode each distinct value once: a text is a category, of which there are few."""
    dictionary = column.dictionary_encode()
    encoded = [ValueProto(**{field: value}).SerializeToString() for value in dictionary.dictionary.to_pylist()]
    positions = pc.fill_null(dictionary.indices, len(encoded)).to_numpy(zero_copy_only=False).tolist()
    choices = [*encoded, _NULL]
    return [choices[position] for position in positions]


def _encode_texts(column: pa.Array) -> list[bytes]:
    return _encode_distinct(column, "string_val")


def _encode_booleans(column: pa.Array) -> list[bytes]:
    return _encode_distinct(column, "bool_val")


Encoder = Callable[[pa.Array], list[bytes]]
# Type of a feature to its Arrow type, its encoder and its text.
ENCODERS: dict[str, tuple[pa.DataType, Encoder, Callable[[object], str]]] = {
    "Float64": (pa.float64(), _encode_doubles, repr),
    "Int64": (pa.int64(), _encode_integers, str),
    "Bool": (pa.bool_(), _encode_booleans, str),
    "String": (pa.string(), _encode_texts, str),
}


def to_microseconds(column: pa.Array) -> Sequence[int]:
    """Convert times to microseconds since 1970.

    Args:
        column: Times without nulls.

    Returns:
        Time per row.
    """
    times: list[int] = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy(zero_copy_only=False).tolist()
    return times
