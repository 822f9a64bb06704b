"""Behavioral tests of a model: direction, invariance, speed (Ribeiro et al., 2020)."""

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np

from feature_repo.names import REQUEST_TIME
from feature_repo.timestamps import DAY_US
from holdfast.core.types import Floats, Ints
from holdfast.model_versions.evidence import NotComputedError
from holdfast.models.contract import Feature, input_matrix
from holdfast.training.dataset import TrainingSet

Score = Callable[[Floats], Floats]
_RequestTime = Callable[[dict[str, list[Any]]], dict[str, list[Any]]]

SILENCE = "days_since_last_purchase"
TENURE = "tenure_days"
_FIRST, _LAST = "first_purchase_us", "last_purchase_us"

_SINGLE_ROWS = 50
_QUANTILES = (0.25, 0.5, 0.75, 1.0)


def measure_wrong_direction(
    score: Score, rows: TrainingSet, request_time: _RequestTime, tolerance: float, days: Sequence[int] = (1, 7, 30)
) -> float:
    """Compute the share of customers whose risk falls as they buy less.

    Two changes are tested. The last purchase was some days earlier: inputs that depend on it are computed again by
    ``request_time``, the on-demand function of serving; the last purchase never moves before the first, so customers
    with one purchase are not changed. And each input that is declared as ``increasing`` grows alone, to higher
    quantiles of the test rows.

    Args:
        score: Function from inputs to probabilities.
        rows: Test rows.
        request_time: On-demand function of the feature store.
        tolerance: Largest decrease of a score that counts as equal.
        days: Shifts of the last purchase in days, ascending.

    Returns:
        The share among customers with a changed input, 0 to 1.

    Raises:
        NotComputedError: No input of any customer changes, or ``request_time`` does not reproduce the test rows.
    """
    stored = _stored(rows)
    unmoved = _moved(rows, stored, stored[_LAST], request_time)
    if not np.array_equal(unmoved, rows.x, equal_nan=True):
        raise NotComputedError("the on-demand function gives other values than the test rows hold")
    moved = (
        _moved(rows, stored, np.maximum(stored[_FIRST], stored[_LAST] - step * DAY_US), request_time) for step in days
    )
    chains = [moved, *(_raised(rows, i) for i, feature in enumerate(rows.inputs) if feature.increasing)]
    unchanged, falls = score(rows.x), np.zeros(len(rows.y), dtype=bool)
    included = stored[_LAST] > stored[_FIRST]
    for chain in chains:
        before = unchanged
        for x in chain:
            included |= ((x != rows.x) & ~np.isnan(x)).any(axis=1)
            after = score(x)
            falls |= after < before - tolerance
            before = after
    if not included.any():
        raise NotComputedError("no test row has a second purchase or an input that can grow")
    return float(falls[included].mean())


def _raised(rows: TrainingSet, column: int) -> Iterator[Floats]:
    """Raise one input of each row to each higher quantile of the rows; missing values stay missing.

    Silence grows up to the tenure: the last purchase is not before the first.
    """
    known = rows.x[:, column][np.isfinite(rows.x[:, column])]
    ceiling = rows.column(TENURE) if rows.inputs[column].name == SILENCE else np.full(len(rows.y), np.inf)
    for level in np.unique(np.quantile(known, _QUANTILES)) if len(known) else ():
        x = rows.x.copy()
        x[:, column] = np.maximum(x[:, column], np.minimum(level, ceiling))
        yield x


def _stored(rows: TrainingSet) -> dict[str, Ints]:
    """Reconstruct stored purchase times from the inputs at the cut-off."""
    as_of = np.asarray(rows.keys["cutoff"].astype("int64"), dtype=np.int64)  # datetime64[us]
    silence, tenure = (np.rint(rows.column(name) * DAY_US).astype(np.int64) for name in (SILENCE, TENURE))
    return {REQUEST_TIME: as_of, _FIRST: as_of - tenure, _LAST: as_of - silence}


def _moved(rows: TrainingSet, stored: dict[str, Ints], last: Ints, compute: _RequestTime) -> Floats:
    columns: dict[str, list[Any]] = {
        name: rows.text_column(name) if name in rows.texts else rows.column(name).tolist()
        for name in rows.feature_names
    }
    computed = compute(columns | {name: values.tolist() for name, values in (stored | {_LAST: last}).items()})
    return input_matrix(rows.inputs, columns | computed)


def find_request_time_view(inputs: Sequence[Feature]) -> str:
    """Find the on-demand view with the time since the last purchase.

    Args:
        inputs: Inputs of the model.

    Returns:
        Name of the view.

    Raises:
        NotComputedError: The model does not read the time since the last purchase.
    """
    for feature in inputs:
        if feature.name == SILENCE:
            return feature.view
    raise NotComputedError(f"the model does not read {SILENCE}")


def measure_variance(score: Score, x: Floats, seed: int) -> float:
    """Compute the largest change of a row's score in another order, in a doubled batch, or alone.

    Args:
        score: Function from inputs to probabilities.
        x: Inputs, shape (rows, inputs).
        seed: Seed of the order.

    Returns:
        The largest absolute change.
    """
    expected, order = score(x), np.random.default_rng(seed).permutation(len(x))
    single = order[:_SINGLE_ROWS]
    return float(
        max(
            np.abs(score(x[order]) - expected[order]).max(),
            np.abs(score(np.concatenate([x, x])) - np.concatenate([expected, expected])).max(),
            np.abs(np.concatenate([score(x[[row]]) for row in single]) - expected[single]).max(),
        )
    )


def measure_latency_ms(score: Score, x: Floats, repeats: int = 100) -> float:
    """Measure the median time to score one row.

    Args:
        score: Function from inputs to probabilities.
        x: Inputs, shape (rows, inputs).
        repeats: Number of measurements; the first tenth is discarded as warm-up.

    Returns:
        The median, ms.
    """
    times = []
    for row in range(repeats):
        one = x[[row % len(x)]]
        start = time.perf_counter()
        score(one)
        times.append((time.perf_counter() - start) * 1000)
    return median(times[repeats // 10 :])
