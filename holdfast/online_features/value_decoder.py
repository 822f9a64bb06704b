"""Stored feature values as Python numbers: what Feast would make of the same bytes, a column at a time."""

import functools
from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from holdfast.feast_stores._feast_imports import ValueProto

Number = int | float | bool


class Fault(IntEnum):
    """Why a feature has no value that may be used; the larger one counts where a feature has several."""

    NONE = 0
    ABSENT = 1
    """The store holds no value."""
    NULL = 2
    """Null, where the view permits none."""
    WRONG_TYPE = 3
    """The stored type is not the declared one."""


# The field of Feast's value that holds a feature of this type.
VALUE_FIELD_BY_TYPE = {
    "Float64": "double_val",
    "Float32": "float_val",
    "Int64": "int64_val",
    "Int32": "int32_val",
    "Bool": "bool_val",
}
_WRONG = object()
_SHORT = 3  # bytes: a tag and a number below 16,384
# How a value of one field begins: the field's number and its wire type.
_DOUBLE_TAG = ValueProto(double_val=0.0).SerializeToString()[0]
_INT64_TAG = ValueProto(int64_val=0).SerializeToString()[0]
_DOUBLES = np.dtype([("tag", "u1"), ("value", "<f8")])


def decode_values(stored: Sequence[bytes | None], dtype: str) -> tuple[list[Number | None], list[tuple[int, Fault]]]:
    """The values of a column, and the positions of those that are absent or not of ``dtype``.

    Args:
        stored: Feast's values, serialised; no bytes are a null, None is a value that the store does not hold.
        dtype: A key of ``FIELD_OF_TYPE``.
    """
    field = VALUE_FIELD_BY_TYPE[dtype]
    present = [value for value in stored if value]
    found: Sequence[object] = _in_bulk(present, field) or [
        _short_value(value, field) if len(value) <= _SHORT else _value(value, field) for value in present
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


@functools.lru_cache(maxsize=4096)
def _short_value(stored: bytes, field: str) -> object:
    """Counts are small numbers that come again and again."""
    return _value(stored, field)


def _value(stored: bytes, field: str) -> object:
    try:
        value = ValueProto.FromString(stored)
    except DecodeError:
        return _WRONG
    present = value.WhichOneof("val")
    if present == field:
        return getattr(value, field)
    return None if present is None else _WRONG


def _doubles(stored: Sequence[bytes]) -> Sequence[Number] | None:
    """A tag and eight bytes; None when not every value is that."""
    if set(map(len, stored)) != {_DOUBLES.itemsize}:
        return None
    values = np.frombuffer(b"".join(stored), dtype=_DOUBLES)
    return values["value"].tolist() if (values["tag"] == _DOUBLE_TAG).all() else None


def _varints(stored: Sequence[bytes]) -> Sequence[Number] | None:
    """A tag, then seven bits per byte, the lowest first, the last byte below 128; None when not every value is that."""
    lengths = np.fromiter(map(len, stored), dtype=np.intp, count=len(stored))
    longest = int(lengths.max())
    if lengths.min() < 2 or longest > 11:
        return None
    data = np.frombuffer(b"".join(stored), dtype=np.uint8)
    starts = lengths.cumsum() - lengths
    if (data[starts] != _INT64_TAG).any():
        return None
    values = np.zeros(len(stored), dtype=np.uint64)
    for place in range(1, longest):
        rows: npt.NDArray[np.intp] = np.flatnonzero(lengths > place)
        byte = data[starts[rows] + place]
        if ((byte < 128) != (lengths[rows] == place + 1)).any():
            return None
        values[rows] |= (byte & 127).astype(np.uint64) << np.uint64(7 * (place - 1))
    return values.view(np.int64).tolist()


# With fewer values than the number, one by one is faster.
_BULK: dict[str, tuple[int, Callable[[Sequence[bytes]], Sequence[Number] | None]]] = {
    "double_val": (6, _doubles),
    "int64_val": (100, _varints),
}


def _in_bulk(stored: Sequence[bytes], field: str) -> Sequence[Number] | None:
    """All values at once; None when they are few, or not plainly of ``field``, each and every one."""
    enough, read = _BULK.get(field, (0, None))
    return read(stored) if read and len(stored) >= enough else None
