"""Conversion of scored batches to Arrow records of the prediction log."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.timestamps import NO_TIME
from holdfast.core.prediction_log import INPUTS, TIMES, TIMESTAMP_TYPE, LogKey, ScoredBatch, log_schema
from holdfast.core.types import Ints

_MAX_ROWS = 8192

Part = tuple[list[ScoredBatch], pa.RecordBatch | Exception]


def warm_up() -> None:
    """Create a first array: Arrow then imports pandas, which takes longer than a prediction may wait."""
    pa.array([""], pa.string())


def to_records(key: LogKey, batches: Sequence[ScoredBatch]) -> Iterator[Part]:
    """Convert batches to records of up to 8192 rows; a batch that violates the schema is separated.

    Args:
        key: Key that all batches share.
        batches: Scored batches in order.

    Yields:
        Batches, and their record or the error of a single batch.
    """
    part: list[ScoredBatch] = []
    rows = 0
    for batch in batches:
        if part and rows + batch.rows > _MAX_ROWS:
            yield from _to_record_or_error(key, part)
            part, rows = [], 0
        part.append(batch)
        rows += batch.rows
    if part:
        yield from _to_record_or_error(key, part)


def _to_record_or_error(key: LogKey, part: list[ScoredBatch]) -> Iterator[Part]:
    try:
        record = to_record(part, log_schema(key))
    except Exception as error:  # an error in one batch must not affect the others
        if len(part) == 1:
            yield part, error
            return
    else:
        yield part, record
        return
    for batch in part:  # find the batch that causes the error
        yield from _to_record_or_error(key, [batch])


def to_record(batches: Sequence[ScoredBatch], schema: pa.Schema) -> pa.RecordBatch:
    """Convert batches that share a key to one record.

    The function calls Arrow rarely: in a busy process each call that releases the GIL waits for it again, and rows
    that are not written when the process is killed are lost.

    Args:
        batches: Scored batches.
        schema: Schema of the key.

    Returns:
        Record with the rows of all batches.

    Raises:
        ValueError: Arrays of a batch have inconsistent shapes.
        TypeError: An array has another type than declared.
    """
    for batch in batches:
        _check_shapes(batch)
    rows = sum(batch.rows for batch in batches)
    answered = np.repeat([batch.answered_at_us for batch in batches], [batch.rows for batch in batches])
    inputs = _stack([batch.inputs for batch in batches], np.float64, rows, len(batches[0].input_names))
    times = _stack([batch.timestamps_us for batch in batches], np.int64, rows, len(batches[0].views))
    columns = {
        "request_id": pa.array([each for batch in batches for each in batch.request_ids], pa.string()),
        "answered_at": _values(answered, TIMESTAMP_TYPE),
        "customer_id": pa.array([each for batch in batches for each in batch.customer_ids], pa.string()),
        "as_of": _values(_stack([batch.as_of_us for batch in batches], np.int64, rows), TIMESTAMP_TYPE),
        batches[0].column: _values(_stack([batch.predictions for batch in batches], np.float64, rows), pa.float64()),
        "stale": pa.array(_stack([batch.stale for batch in batches], np.bool_, rows)),
        INPUTS: _lists(_values(inputs.reshape(-1), pa.float64()), rows, schema.field(INPUTS).type),
        TIMES: _lists(_times(times.reshape(-1)), rows, schema.field(TIMES).type),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _check_shapes(batch: ScoredBatch) -> None:
    n, inputs, views = batch.rows, len(batch.input_names), len(batch.views)
    expected = {
        "customer_ids": ((len(batch.customer_ids),), (n,)),
        "as_of_us": (batch.as_of_us.shape, (n,)),
        "inputs": (batch.inputs.shape, (n, inputs)),
        "timestamps_us": (batch.timestamps_us.shape, (n, views)),
        "predictions": (batch.predictions.shape, (n,)),
        "stale": (batch.stale.shape, (n,)),
    }
    for name, (shape, expected_shape) in expected.items():
        if shape != expected_shape:
            raise ValueError(f"{name} of {n} predictions have the shape {shape}, expected {expected_shape}")


def _stack(arrays: list[npt.NDArray[Any]], dtype: Any, *shape: int) -> npt.NDArray[Any]:
    """Concatenate arrays in row-major order; raises TypeError for another type, whose cast might lose bits."""
    return np.concatenate(arrays, out=np.empty(shape, dtype), casting="no")


def _values(values: npt.NDArray[Any], dtype: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(dtype, len(values), [None, pa.py_buffer(values)])


def _times(times: Ints) -> pa.Array:
    absent = times == NO_TIME
    return pa.array(times, TIMESTAMP_TYPE, mask=absent) if absent.any() else _values(times, TIMESTAMP_TYPE)


def _lists(values: pa.Array, rows: int, dtype: pa.DataType) -> pa.Array:
    return pa.FixedSizeListArray.from_buffers(dtype, rows, [None], children=[values])
