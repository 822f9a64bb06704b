"""The feature values of the prediction log, as the models received them, a matrix per version."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.names import ENTITY_KEY
from holdfast.core.prediction_log import TIMESTAMP_SUFFIX
from holdfast.core.types import Bools, Floats

_IN_COMMON = {"request_id", "answered_at", ENTITY_KEY, "as_of", "version", "route", "churn_probability", "stale"}


@dataclass(frozen=True)
class LoggedFeatures:
    """Distinct predictions of one version.

    ``keys`` has customer_id, as_of, answered_at, and ``served``: the moment of the snapshot that served, NaT where no
    view held the customer. ``x`` is (rows, inputs), NaN where a value was missing or null.
    """

    version: str
    inputs: list[str]
    keys: pd.DataFrame
    x: Floats


def extract_logged_features(log: pa.Table) -> list[LoggedFeatures]:
    """The predictions of every version and route, by version.

    A customer who was asked for again at the same ``as_of``, and answered from the same values, counts once.
    """
    return [
        _of_version(log.filter(pc.equal(log["version"], v)), v) for v in sorted(pc.unique(log["version"]).to_pylist())
    ]


def _of_version(log: pa.Table, version: str) -> LoggedFeatures:
    views = [name for name in log.column_names if name.endswith(TIMESTAMP_SUFFIX)]
    # Tables of several versions are one: what a version does not have is null in all its rows.
    inputs = [
        name
        for name in log.column_names
        if name not in _IN_COMMON and name not in views and log[name].null_count < log.num_rows
    ]
    frame: pd.DataFrame = log.to_pandas()
    frame = frame.sort_values("answered_at", kind="stable").drop_duplicates([ENTITY_KEY, "as_of", *inputs, *views])
    # A service scores nobody whose views are of different moments; whoever did would have served the oldest.
    served = frame[views].min(axis=1) if views else pd.Series(pd.NaT, frame.index)
    keys = frame[[ENTITY_KEY, "as_of", "answered_at"]].assign(served=served.astype("datetime64[us, UTC]"))
    return LoggedFeatures(version, inputs, keys.reset_index(drop=True), frame[inputs].to_numpy(np.float64))


def oldest_valid_timestamps(keys: pd.DataFrame, max_delay_hours: float) -> pd.Series:
    """The midnight of the oldest snapshot that may serve at each ``as_of``, given that one of a day comes late.

    Who asks for a time ahead is served what there is when he asks.
    """
    delayed = keys[["as_of", "answered_at"]].min(axis=1) - pd.Timedelta(hours=max_delay_hours)
    return delayed.dt.floor("D").rename("due")


def valid_timestamps(keys: pd.DataFrame, max_delay_hours: float) -> pd.Series:
    """The moment of the snapshot whose values are right for each row.

    That is the one that served, if it was not older than it may be, nor of a time after ``as_of``; else the one that
    ought to have.
    """
    wanted = oldest_valid_timestamps(keys, max_delay_hours)
    fits = (keys["served"] >= wanted) & (keys["served"] <= keys["as_of"])
    return keys["served"].where(fits, wanted)


def differs_bitwise(left: Floats, right: Floats) -> Bools:
    """True where the bits of two matrices differ, but for missing values: NaN equals NaN. 0.0 and -0.0 differ."""
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    found: Bools = (left.view(np.int64) != right.view(np.int64)) & ~(np.isnan(left) & np.isnan(right))
    return found


def stack_columns(values: Mapping[str, Floats], names: list[str], rows: int) -> Floats:
    """The columns of these names, NaN for one that is not there; shape (rows, len(names))."""
    nothing = np.full(rows, np.nan)
    return np.column_stack([values.get(name, nothing) for name in names]) if names else np.empty((rows, 0))
