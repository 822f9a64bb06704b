"""How a model behaves, whatever its quality: direction, invariance, speed (Ribeiro et al., 2020)."""

import time
from collections.abc import Callable, Sequence
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
RequestTime = Callable[[dict[str, list[Any]]], dict[str, list[Any]]]

SILENCE = "days_since_last_purchase"
TENURE = "tenure_days"
_FIRST, _LAST = "first_purchase_us", "last_purchase_us"

_ALONE = 50


def measure_wrong_direction(
    score: Score, rows: TrainingSet, request_time: RequestTime, tolerance: float, days: Sequence[int] = (1, 7, 30)
) -> float:
    """Share of customers whose risk falls when their last purchase was 1, 7 or 30 days earlier, all else equal.

    What depends on the time of the last purchase is computed again by ``request_time``, the on-demand function that
    serving uses; the last purchase never moves before the first. Customers with one purchase cannot tell.

    Raises:
        NotComputedError: Nobody can tell, or ``request_time`` does not give the inputs that the model was tested on.
    """
    stored = _stored(rows)
    unmoved = _moved(rows, stored, stored[_LAST], request_time)
    if not np.array_equal(unmoved, rows.x, equal_nan=True):
        raise NotComputedError("the on-demand function gives other values than the test rows hold")
    telling = stored[_LAST] > stored[_FIRST]
    if not telling.any():
        raise NotComputedError("no test row has a second purchase, so no silence can grow")
    before, falls = score(rows.x), np.zeros(len(rows.y), dtype=bool)
    for step in days:
        after = score(_moved(rows, stored, np.maximum(stored[_FIRST], stored[_LAST] - step * DAY_US), request_time))
        falls |= after < before - tolerance
        before = after
    return float(falls[telling].mean())


def _stored(rows: TrainingSet) -> dict[str, Ints]:
    """What is stored of the purchases, from what was computed of it at the cut-off."""
    as_of = np.asarray(rows.keys["cutoff"].astype("int64"), dtype=np.int64)  # datetime64[us]
    silence, tenure = (np.rint(rows.column(name) * DAY_US).astype(np.int64) for name in (SILENCE, TENURE))
    return {REQUEST_TIME: as_of, _FIRST: as_of - tenure, _LAST: as_of - silence}


def _moved(rows: TrainingSet, stored: dict[str, Ints], last: Ints, compute: RequestTime) -> Floats:
    columns: dict[str, list[Any]] = {feature.name: rows.x[:, i].tolist() for i, feature in enumerate(rows.inputs)}
    computed = compute(columns | {name: values.tolist() for name, values in (stored | {_LAST: last}).items()})
    return input_matrix(rows.inputs, columns | computed)


def find_request_time_view(inputs: Sequence[Feature]) -> str:
    """The on-demand view that knows how long a customer has been silent."""
    for feature in inputs:
        if feature.name == SILENCE:
            return feature.view
    raise NotComputedError(f"the model does not read {SILENCE}")


def measure_variance(score: Score, x: Floats, seed: int) -> float:
    """Largest change of a row's score in another order, beside itself, or alone."""
    told, order = score(x), np.random.default_rng(seed).permutation(len(x))
    alone = order[:_ALONE]
    return float(
        max(
            np.abs(score(x[order]) - told[order]).max(),
            np.abs(score(np.concatenate([x, x])) - np.concatenate([told, told])).max(),
            np.abs(np.concatenate([score(x[[row]]) for row in alone]) - told[alone]).max(),
        )
    )


def measure_latency_ms(score: Score, x: Floats, repeats: int = 100) -> float:
    """Median time to score one row, ms."""
    times = []
    for row in range(repeats):
        one = x[[row % len(x)]]
        start = time.perf_counter()
        score(one)
        times.append((time.perf_counter() - start) * 1000)
    return median(times[repeats // 10 :])  # the first ones warm up
