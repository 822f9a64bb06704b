"""Tests of the input checks on arrays; the integration tests check them with stored features."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from feature_repo.timestamps import NO_TIME, from_epoch_us
from holdfast.models.contract import Feature
from holdfast.online_features.reader import Fault, OnlineFeatures
from services.features.feature_checks import CheckedInputs, InputStatus, check_inputs
from services.features.feature_definitions import FeatureDefinitions

DAY = 86_400_000_000
NOW = 19_000 * DAY
SOFT, HARD = 2 * DAY, 30 * DAY
INPUTS = [Feature("activity", "recency_days", "Float64", False), Feature("history", "total", "Float64", False)]


def definitions() -> FeatureDefinitions:
    """Two views with one input each; the first input defines the active customers."""
    reader = SimpleNamespace(views=["activity", "history"], inputs=INPUTS, input_views=np.eye(2, dtype=bool))
    return FeatureDefinitions(
        registry_state=1,
        reader=cast("Any", reader),
        soft_limits=np.array([SOFT, SOFT]),
        hard_limits=np.array([HARD, HARD]),
        shortest_soft_limit=SOFT,
        materialized_to=from_epoch_us(NOW),
        materialized_to_us=NOW,
        input_names=[item.name for item in INPUTS],
    )


def check(
    age: int = DAY,
    values: tuple[float, float] = (10.0, 5.0),
    faults: tuple[Fault, Fault] = (Fault.NONE, Fault.NONE),
    times: tuple[int, int] | None = None,
    unknown: bool | None = None,
) -> CheckedInputs:
    """Check one customer with features of an age in µs."""
    features = OnlineFeatures(
        customer_ids=["c1"],
        as_of_us=np.array([NOW]),
        inputs=np.array([values]),
        faults=np.array([faults], dtype=np.uint8),
        timestamps_us=np.array([times or (NOW - age, NOW - age)]),
    )
    return check_inputs(features, definitions(), None if unknown is None else np.array([unknown]))


def test_check_inputs_fresh_customer_is_scored() -> None:
    checked = check()
    assert (checked.rejected, checked.stale.tolist()) == ({}, [False])
    assert (checked.statuses == InputStatus.PRESENT).all()


@pytest.mark.parametrize(
    ("age", "status", "reason"),
    [
        (SOFT, InputStatus.PRESENT, None),
        (SOFT + 1, InputStatus.STALE, None),
        (HARD, InputStatus.STALE, None),
        (HARD + 1, InputStatus.EXPIRED, "features_too_old"),
        (-1, InputStatus.PRESENT, "features_updating"),
    ],
)
def test_check_inputs_age_sets_status_and_rejection(age: int, status: InputStatus, reason: str | None) -> None:
    checked = check(age)
    assert (checked.statuses == status).all()
    assert checked.stale.tolist() == [status == InputStatus.STALE]
    assert {item.reason for item in checked.rejected.values()} == ({reason} - {None})


@pytest.mark.parametrize(
    ("values", "faults", "reason"),
    [
        ((10.0, np.inf), (Fault.NONE, Fault.NONE), "invalid_feature"),
        ((10.0, np.nan), (Fault.NONE, Fault.NULL), "missing_feature"),
        ((10.0, np.nan), (Fault.NONE, Fault.ABSENT), "missing_feature"),
        ((10.0, np.nan), (Fault.NONE, Fault.WRONG_TYPE), "invalid_feature"),
    ],
)
def test_check_inputs_bad_value_is_rejected_by_name(
    values: tuple[float, float], faults: tuple[Fault, Fault], reason: str
) -> None:
    rejected = check(values=values, faults=faults).rejected[0]
    assert rejected.reason == reason
    assert "history:total of customer 'c1'" in rejected.detail


def test_check_inputs_unknown_customer_is_rejected() -> None:
    absent = (Fault.ABSENT, Fault.ABSENT)
    checked = check(values=(np.nan, np.nan), faults=absent, times=(NO_TIME, NO_TIME))
    assert checked.rejected[0].reason == "unknown_customer"
    assert checked.rejected[0].detail == "Customer 'c1' is not in the feature store."


def test_check_inputs_views_of_two_snapshots_are_updating() -> None:
    assert check(times=(NOW - DAY, NOW - 2 * DAY)).rejected[0].reason == "features_updating"


def test_check_inputs_store_down_flags_cached_and_rejects_others() -> None:
    assert (check(unknown=False).stale.tolist(), check(unknown=False).rejected) == ([True], {})
    assert check(unknown=True).rejected[0].reason == "store_unavailable"
