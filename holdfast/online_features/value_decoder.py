"""Decoder of stored feature values: the numbers and texts that Feast reads from the same bytes, by column."""

import functools
from collections.abc import Sequence
from enum import IntEnum

from google.protobuf.message import DecodeError

from holdfast.feast_stores._feast_imports import ValueProto
from holdfast.online_features.bulk_decoder import decode_in_bulk

StoredValue = int | float | bool | str


class Fault(IntEnum):
    """Reason why a feature has no usable value; of several reasons the largest counts."""

    NONE = 0
    ABSENT = 1
    """The store has no value."""
    NULL = 2
    """Null in a field that is not nullable."""
    WRONG_TYPE = 3
    """The stored type differs from the declared type."""


# Type of a feature to the field of Feast's value that contains it.
VALUE_FIELD_BY_TYPE = {
    "Float64": "double_val",
    "Float32": "float_val",
    "Int64": "int64_val",
    "Int32": "int32_val",
    "Bool": "bool_val",
    "String": "string_val",
}
_WRONG = object()
# Longest value that is decoded once for all customers: a number below 16,384 after its tag, or the text of a category.
_SHORT_BYTES = dict.fromkeys(VALUE_FIELD_BY_TYPE.values(), 3) | {"string_val": 64}


def decode_values(
    stored: Sequence[bytes | None], dtype: str, bulk: bool = True
) -> tuple[list[StoredValue | None], list[tuple[int, Fault]]]:
    """Decode the values of a column.

    Args:
        stored: Feast's values, serialized; empty bytes are a null, None is a missing value.
        dtype: Type of the feature, a key of ``VALUE_FIELD_BY_TYPE``.
        bulk: Decode long columns with NumPy (``bulk_decoder``); the result is the same.

    Returns:
        The values, None where there is none; and position and fault of each value that is missing or not of ``dtype``.
    """
    field = VALUE_FIELD_BY_TYPE[dtype]
    short = _SHORT_BYTES[field]
    present = [value for value in stored if value]
    found: Sequence[object] = (bulk and decode_in_bulk(present, field)) or [
        _decode_short(value, field) if len(value) <= short else _decode(value, field) for value in present
    ]
    if len(found) < len(stored):
        following = iter(found)
        found = [next(following) if value else None for value in stored]
        faults = [(i, Fault.ABSENT) for i, value in enumerate(stored) if value is None]
    else:
        faults = []
    if _WRONG in found:
        faults += [(i, Fault.WRONG_TYPE) for i, value in enumerate(found) if value is _WRONG]
        found = [None if value is _WRONG else value for value in found]
    return found, faults  # type: ignore[return-value]


@functools.lru_cache(maxsize=4096)  # counts are small numbers that repeat, and so do categories
def _decode_short(stored: bytes, field: str) -> object:
    return _decode(stored, field)


def _decode(stored: bytes, field: str) -> object:
    try:
        value = ValueProto.FromString(stored)
    except DecodeError:
        return _WRONG
    present = value.WhichOneof("val")
    if present == field:
        return getattr(value, field)
    return None if present is None else _WRONG
