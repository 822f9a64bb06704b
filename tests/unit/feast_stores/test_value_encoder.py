"""Contract tests of the value encoder: the bytes and texts of Feast for any values."""

import numpy as np
import pyarrow as pa
import pytest
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import strategies as st

from holdfast.feast_stores.value_encoder import ENCODERS, encode_values, format_values, to_microseconds

INT64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-200, 20_000)
TYPES = {
    "Float64": (ValueType.DOUBLE, st.floats(width=64)),
    "Int64": (ValueType.INT64, INT64),
    "Bool": (ValueType.BOOL, st.booleans()),
    "String": (ValueType.STRING, st.text(st.characters(codec="utf-8"), max_size=200)),
}


def _as_feast(column: pa.Array, kind: ValueType) -> list:
    # Feast reads integers beside a null as floats, and so loses their last digits: one value at a time has no null.
    parts = [column] if column.null_count == 0 else [column.slice(row, 1) for row in range(len(column))]
    return [
        value for part in parts for value in python_values_to_proto_values(part.to_numpy(zero_copy_only=False), kind)
    ]


@pytest.mark.parametrize("dtype", list(ENCODERS))
@given(data=st.data())
def test_encode_values_of_any_column_are_those_of_feast(dtype: str, data: st.DataObject) -> None:
    kind, values = TYPES[dtype]
    column = pa.array(data.draw(st.lists(st.none() | values, max_size=30)), ENCODERS[dtype][0])
    expected = _as_feast(column, kind)
    assert encode_values(column, dtype) == [value.SerializeToString() for value in expected]
    assert format_values(column, dtype) == [extract_text_and_num(value, compute_num=False)[0] for value in expected]


@pytest.mark.parametrize("dtype", list(ENCODERS))
def test_encode_values_of_a_column_without_rows_is_empty(dtype: str) -> None:
    assert encode_values(pa.array([], ENCODERS[dtype][0]), dtype) == []
    assert format_values(pa.array([], ENCODERS[dtype][0]), dtype) == []


def test_encode_values_at_the_limits_of_each_varint_length_are_those_of_feast() -> None:
    powers = [1 << bits for bits in range(0, 63, 7)]
    numbers = [sign * (power + step) for power in powers for step in (-1, 0, 1) for sign in (1, -1)]
    column = pa.array([*numbers, 2**63 - 1, -(2**63)], pa.int64())
    expected = python_values_to_proto_values(column.to_numpy(), ValueType.INT64)
    assert encode_values(column, "Int64") == [value.SerializeToString() for value in expected]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_to_microseconds_of_any_unit_is_exact(unit: str) -> None:
    times = np.array(["2024-07-01T00:00:01", "1969-12-31T23:59:59"], dtype=f"datetime64[{unit}]")
    assert to_microseconds(pa.array(times).cast(pa.timestamp(unit, "UTC"))) == [1_719_792_001_000_000, -1_000_000]
