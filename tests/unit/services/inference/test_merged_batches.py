"""Tests of merged batches: each row has the inputs of the model that scored it."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from holdfast.models.label import RECENCY_FEATURE, LabelTerms
from holdfast.online_features.reader import OnlineFeatures
from services.features.feature_checks import CheckedInputs, RejectedCustomer
from services.features.version_inputs import VersionInputs
from services.inference.merged_batches import merge_batches
from services.inference.scored_requests import BatchScores, ScoredRequests, active_rows
from services.observability.stage_times import StageTimes

CHAMPION, CHALLENGER = (SimpleNamespace(activity=LabelTerms("no_purchase", 90, days).activity) for days in (180, 90))
MODELS = SimpleNamespace(champion=CHAMPION, challenger=CHALLENGER)
OLD, NEW = (SimpleNamespace(input_names=[RECENCY_FEATURE]) for _ in range(2))
REJECTED = RejectedCustomer("missing_feature", "missing")


def _checked(values: list[float], rejected: int | None = None) -> CheckedInputs:
    rows = len(values)
    features = OnlineFeatures(
        customer_ids=[f"c{value:g}" for value in values],
        as_of_us=np.arange(rows),
        inputs=np.array(values).reshape(-1, 1),
        faults=np.zeros((rows, 1), dtype=np.uint8),
        timestamps_us=np.zeros((rows, 1), dtype=np.int64),
    )
    found = {} if rejected is None else {rejected: REJECTED}
    return CheckedInputs(features, np.zeros((rows, 1), np.uint8), np.zeros(rows, np.int64), np.zeros(rows, bool), found)


def _batch(values: list[float], canary: list[int], rejected: int | None = None) -> ScoredRequests:
    """Create a batch whose canary rows have their value plus 1000 under the challenger's definitions."""
    rows = len(values)
    positions = np.full(rows, -1)
    positions[canary] = np.arange(len(canary))
    own = VersionInputs(cast("Any", NEW), _checked([values[row] + 1000 for row in canary]), positions)
    models = [CHALLENGER if row in canary else CHAMPION for row in range(rows)]
    scores = BatchScores(
        np.array(values), cast("Any", models), np.arange(rows), np.zeros(rows, bool), np.ones(rows, bool)
    )
    inputs = VersionInputs(cast("Any", OLD), _checked(values, rejected))
    return ScoredRequests(
        [], cast("Any", MODELS), inputs, own if canary else None, np.ones(rows, bool), scores, StageTimes()
    )


BATCHES = {
    "canary in each batch": [([1.0, 2.0], [1]), ([3.0, 4.0, 5.0], [0, 2])],
    "no canary in the first": [([1.0, 2.0], []), ([3.0], [0])],
    "no canary in the last": [([1.0, 2.0], [0, 1]), ([3.0], [])],
    "no canary": [([1.0], []), ([2.0], [])],
    "one batch": [([1.0, 2.0], [1])],
}


@pytest.mark.parametrize("case", BATCHES)
def test_merge_batches_retains_inputs_of_each_row(case: str) -> None:
    merged = merge_batches([_batch(values, canary) for values, canary in BATCHES[case]])
    values = [value for one, _ in BATCHES[case] for value in one]
    assert merged.scores.predictions.tolist() == values
    for row, model in enumerate(merged.scores.models):
        inputs = merged.inputs_of(model)
        (position,) = inputs.locate(np.array([row]))
        expected = values[row] + (1000 if model is CHALLENGER else 0)
        assert inputs.checked.features.inputs[position].tolist() == [expected]
        assert inputs.checked.features.customer_ids[position] == f"c{expected:g}"
    canaries = sum(len(canary) for _, canary in BATCHES[case])
    assert sum(model is CHALLENGER for model in merged.scores.models) == canaries
    assert (merged.challenger_inputs is None) == (canaries == 0)


def test_merge_batches_moves_rejected_rows() -> None:
    merged = merge_batches([_batch([1.0, 2.0], [0]), _batch([3.0, 4.0], [], rejected=1)])
    assert merged.inputs.checked.rejected == {3: REJECTED}


@pytest.mark.parametrize(("model", "active"), [(CHAMPION, [True, True, False]), (CHALLENGER, [True, False, False])])
def test_active_rows_have_the_window_of_the_model(model: Any, active: list[bool]) -> None:
    inputs = VersionInputs(cast("Any", OLD), _checked([90.0, 180.0, 181.0]))
    assert active_rows(model, inputs).tolist() == active
