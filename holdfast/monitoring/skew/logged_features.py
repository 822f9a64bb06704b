"""Feature values of the prediction log, as one matrix per version."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.names import ENTITY_KEY
from holdfast.core.prediction_log import TIMESTAMP_SUFFIX
from holdfast.core.types import Bools, Floats


@dataclass(frozen=True)
class LoggedFeatures:
    """Distinct predictions of one version.

    Attributes:
        keys: Columns customer_id, as_of, answered_at, and served (time of the snapshot that was served, NaT if no view
            held the customer).
        x: Model inputs, shape (rows, inputs), NaN for missing or null values.
    """

    version: str
    inputs: list[str]
    keys: pd.DataFrame
    x: Floats


def extract_logged_features(log: pa.Table, inputs: Mapping[str, list[str]]) -> list[LoggedFeatures]:
    """Extract the model inputs of the predictions of all routes, by version.

    Repeated predictions of a customer with the same ``as_of`` and the same values count once.

    Args:
        log: Prediction log, with the inputs of all versions.
        inputs: Model version to the names of its inputs; other versions are left out.

    Returns:
        One result per version, in the order of ``inputs``.
    """
    return [
        _extract_version(log.filter(pc.equal(log["version"], version)), version, names)
        for version, names in inputs.items()
    ]


def _extract_version(log: pa.Table, version: str, inputs: list[str]) -> LoggedFeatures:
    views = [name for name in log.column_names if name.endswith(TIMESTAMP_SUFFIX)]
    for name in inputs:
        if name not in log.column_names:
            log = log.append_column(name, pa.nulls(log.num_rows, pa.float64()))
    frame: pd.DataFrame = log.to_pandas()
    frame = frame.sort_values("answered_at", kind="stable").drop_duplicates([ENTITY_KEY, "as_of", *inputs, *views])
    # The service refuses customers whose views have different times; the oldest time is the safe choice.
    served = frame[views].min(axis=1) if views else pd.Series(pd.NaT, frame.index)
    keys = frame[[ENTITY_KEY, "as_of", "answered_at"]].assign(served=served.astype("datetime64[us, UTC]"))
    return LoggedFeatures(version, inputs, keys.reset_index(drop=True), frame[inputs].to_numpy(np.float64))


def oldest_valid_timestamps(keys: pd.DataFrame, max_delay_hours: float) -> pd.Series:
    """Compute the time of the oldest snapshot that may be served for each row.

    A daily snapshot may be late by ``max_delay_hours``. A request with ``as_of`` in the future is served the snapshot
    that exists at the time of the request.

    Args:
        keys: Columns as_of and answered_at.
        max_delay_hours: Hours after midnight UTC in which the snapshot of the day before may be served.

    Returns:
        Midnights UTC, shape (rows,).
    """
    delayed = keys[["as_of", "answered_at"]].min(axis=1) - pd.Timedelta(hours=max_delay_hours)
    return delayed.dt.floor("D").rename("oldest_valid")


def valid_timestamps(keys: pd.DataFrame, max_delay_hours: float) -> pd.Series:
    """Compute the time of the snapshot with the correct values for each row.

    Args:
        keys: Columns as_of, answered_at and served.
        max_delay_hours: Hours after midnight UTC in which the snapshot of the day before may be served.

    Returns:
        The time of the served snapshot if it was neither too old nor after ``as_of``, else the oldest valid time;
        shape (rows,).
    """
    oldest = oldest_valid_timestamps(keys, max_delay_hours)
    is_valid = (keys["served"] >= oldest) & (keys["served"] <= keys["as_of"])
    return keys["served"].where(is_valid, oldest)


def differs_bitwise(left: Floats, right: Floats) -> Bools:
    """Compare two matrices bit by bit; NaN equals NaN, 0.0 and -0.0 differ.

    Args:
        left: Values.
        right: Values of the same shape.

    Returns:
        True where the values differ.
    """
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    different: Bools = (left.view(np.int64) != right.view(np.int64)) & ~(np.isnan(left) & np.isnan(right))
    return different


def stack_columns(values: Mapping[str, Floats], names: list[str], rows: int) -> Floats:
    """Stack columns to a matrix.

    Args:
        values: Columns by name, each of shape (rows,).
        names: Names of the columns to stack; an absent column is NaN.
        rows: Number of rows.

    Returns:
        Matrix, shape (rows, names).
    """
    missing = np.full(rows, np.nan)
    return np.column_stack([values.get(name, missing) for name in names]) if names else np.empty((rows, 0))
