"""Comparison of values with an Arrow array, bit by bit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.types import Bools
from holdfast.feature_store.historical_features import ARROW_TYPES

_PYTHON_TYPES: dict[str, type] = {"Int64": int, "Float64": float, "String": str, "Bool": bool}


def find_different_bits(values: Sequence[Any], expected: pa.Array, dtype: str) -> Bools:
    """Find the values that differ from an array in type, nullness or bits.

    A value of another Python type than the feature's differs: Arrow would convert 0 among floats to 0.0.

    Args:
        values: Python values; None stands for null.
        expected: Array of the same length.
        dtype: Type of the feature.

    Returns:
        True where the value differs.
    """
    python_type = _PYTHON_TYPES[dtype]
    types = list(map(type, values))
    if set(types) <= {python_type, type(None)}:
        return compare_bits(pa.array(values, ARROW_TYPES[dtype]), expected)
    wrong = [found is not python_type and found is not type(None) for found in types]
    right = [None if is_wrong else value for value, is_wrong in zip(values, wrong, strict=True)]
    return compare_bits(pa.array(right, ARROW_TYPES[dtype]), expected) | np.array(wrong, dtype=bool)


def compare_bits(left: pa.Array, right: pa.Array) -> Bools:
    """Compare two arrays in type, nullness and bits.

    Args:
        left: First array.
        right: Second array, as long as the first.

    Returns:
        True where they differ.
    """
    if left.type != right.type:
        return np.ones(len(left), dtype=bool)
    nulls = np.asarray(left.is_null()) != np.asarray(right.is_null())
    return nulls | (_bits(left) != _bits(right))


def _bits(array: pa.Array) -> np.ndarray:
    if pa.types.is_floating(array.type):
        return pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False).view(np.int64)
    default = "" if pa.types.is_string(array.type) else 0
    return pc.fill_null(array, pa.scalar(default).cast(array.type)).to_numpy(zero_copy_only=False)
