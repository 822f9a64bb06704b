"""Tests of value decoding: equal to protobuf for any bytes, with and without bulk decoding."""

import math
import struct
from typing import Any

import pytest
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.online_features.value_decoder import VALUE_FIELD_BY_TYPE, Fault, decode_values

INT64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 200) | st.integers(10**15, 2 * 10**15)
DOUBLES = st.floats(width=64) | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324])
VALUES = {
    "Float64": DOUBLES,
    "Int64": INT64,
    "Float32": st.floats(width=32),
    "Int32": st.integers(-(2**31), 2**31 - 1),
    "Bool": st.booleans(),
    "String": st.text(max_size=80) | st.sampled_from(["", "France", "中国", "a\x00b"]),
}
# Long enough that columns are decoded in bulk, and short enough that they are not.
SIZES = {"min_size": 0, "max_size": 300}


def stored(value: Any, dtype: str) -> bytes | None:
    """Serialize a value as a store does; None for a missing value."""
    if value == "absent":
        return None
    message = ValueProto() if value is None else ValueProto(**{VALUE_FIELD_BY_TYPE[dtype]: value})
    return message.SerializeToString()


def bits(value: Any) -> Any:
    """Return a key that is equal for equal bits of the same type."""
    return struct.pack("<d", value) if isinstance(value, float) else (type(value), value)


def expected(raw: bytes | None, dtype: str) -> tuple[Any, Fault]:
    """Decode one value with protobuf."""
    if raw is None:
        return None, Fault.ABSENT
    try:
        message = ValueProto.FromString(raw)
    except DecodeError:
        return None, Fault.WRONG_TYPE
    field = message.WhichOneof("val")
    if field is None:
        return None, Fault.NONE
    if field != VALUE_FIELD_BY_TYPE[dtype]:
        return None, Fault.WRONG_TYPE
    return getattr(message, field), Fault.NONE


def assert_as_feast(column: list[bytes | None], dtype: str) -> None:
    wanted = [expected(raw, dtype) for raw in column]
    for bulk in (True, False):
        values, faults = decode_values(column, dtype, bulk)
        assert [bits(value) for value in values] == [bits(value) for value, _ in wanted]
        assert sorted(faults) == [(row, fault) for row, (_, fault) in enumerate(wanted) if fault]


@pytest.mark.parametrize("dtype", list(VALUES))
@given(data=st.data())
def test_decode_values_any_column_returns_values_and_nulls(dtype: str, data: st.DataObject) -> None:
    cell = VALUES[dtype] | st.none() | st.just("absent")
    column = data.draw(st.lists(VALUES[dtype], **SIZES) | st.lists(cell, **SIZES))
    raw = [stored(value, dtype) for value in column]
    values, _ = decode_values(raw, dtype)
    for value, original in zip(values, column, strict=True):
        assert bits(value) == bits(None if original == "absent" else original)
    assert_as_feast(raw, dtype)


@pytest.mark.parametrize("dtype", ["Float64", "Int64"])
@pytest.mark.parametrize("size", [1, 5, 6, 99, 100, 101])
@pytest.mark.parametrize("other", list(VALUES))
def test_decode_values_one_value_of_other_type_is_a_fault(dtype: str, size: int, other: str) -> None:
    if other == dtype:
        return
    column = [stored(float(i) if dtype == "Float64" else i, dtype) for i in range(size)]
    column[size // 2] = stored("one" if other == "String" else 1, other)
    values, faults = decode_values(column, dtype)
    assert faults == [(size // 2, Fault.WRONG_TYPE)]
    assert values == [None if i == size // 2 else i for i in range(size)]


@pytest.mark.parametrize("message", [{"string_val": "8 bytes!"}, {"bytes_val": b"1234567"}, {"null_val": 0}])
def test_decode_values_text_of_same_length_is_a_fault(message: dict[str, Any]) -> None:
    raw = ValueProto(**message).SerializeToString()
    for dtype in VALUE_FIELD_BY_TYPE.keys() - ({"String"} if "string_val" in message else set()):
        for size in (1, 200):
            assert decode_values([raw] * size, dtype)[1] == [(row, Fault.WRONG_TYPE) for row in range(size)]


# A tag of a double, an int64 or a text with anything after it, and anything at all.
_BROKEN = st.binary(min_size=1, max_size=12) | st.builds(
    lambda tag, rest: tag + rest,
    st.sampled_from([stored(0.0, "Float64")[:1], stored(0, "Int64")[:1], stored("", "String")[:1]]),  # type: ignore[index]
    st.binary(max_size=12),
)


@given(st.lists(_BROKEN, min_size=1, max_size=3), st.sampled_from(["Float64", "Int64", "String"]))
@example([b"\x20" + b"\xff" * 9 + b"\x02"], "Int64")
@example([b"\x20" + b"\xff" * 10 + b"\x01"], "Int64")
@example([b"\x20\x80\x00"], "Int64")
@example([b"\x29" * 10, b"\x00" * 8], "Float64")
@example([b"\x1a\x01\xff"], "String")  # not UTF-8
@example([b"\x1a\x05abc"], "String")
def test_decode_values_invalid_bytes_equal_feast(broken: list[bytes], dtype: str) -> None:
    sound = [stored({"Float64": 1.0, "Int64": 300, "String": "France"}[dtype], dtype)] * 150
    assert_as_feast([*broken], dtype)
    assert_as_feast([*sound, *broken], dtype)
    assert_as_feast(broken * 150, dtype)
