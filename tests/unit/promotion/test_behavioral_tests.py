"""Measurements of the behavioral gates, on models with known behavior."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from feature_repo.timestamps import DAY_US, epoch_us
from holdfast.model_versions.evidence import NotComputedError
from holdfast.models.contract import Feature
from holdfast.promotion.behavioral_tests import (
    find_request_time_view,
    measure_latency_ms,
    measure_variance,
    measure_wrong_direction,
)
from holdfast.training.dataset import TrainingSet
from tests.support.small_shop import use_data_folder

INPUTS = [
    Feature("customer_purchase_rhythm", "mean_gap_days", "Float64", True),
    Feature("customer_request_time", "days_since_last_purchase", "Float64", False),
    Feature("customer_request_time", "tenure_days", "Float64", False),
    Feature("customer_request_time", "lateness_ratio", "Float64", True),
    Feature("customer_request_time", "silence_share", "Float64", False),
    Feature("customer_request_time", "no_purchase_log_odds_60d", "Float64", False),
    Feature("customer_purchase_history", "purchase_days", "Int64", False),
]
GAP, SILENCE, TENURE, LATENESS, SHARE, LOG_ODDS = range(6)
CUTOFFS = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)]


@pytest.fixture(scope="module")
def request_time(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """The on-demand function of the feature repository."""
    with use_data_folder(tmp_path_factory.mktemp("behaviour")):
        from feature_repo.on_demand_feature_views import customer_request_time

        return customer_request_time.feature_transformation.udf  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def rows(request_time: Callable[..., Any]) -> TrainingSet:
    """80 customers, every fourth with one purchase only, at odd microseconds."""
    rng = np.random.default_rng(3)
    cutoffs = pd.Series([CUTOFFS[i % 2] for i in range(80)]).astype("datetime64[us, UTC]")
    as_of = np.array([epoch_us(time) for time in cutoffs])
    first = as_of - rng.integers(40 * DAY_US, 700 * DAY_US, 80)
    last = np.where(np.arange(80) % 4 == 0, first, as_of - rng.integers(DAY_US // 7, 39 * DAY_US, 80))
    gap = np.where(last > first, rng.uniform(5, 60, 80), np.nan)
    days = np.where(last > first, rng.integers(2, 9, 80), 1)
    columns = {"as_of_us": as_of, "first_purchase_us": first, "last_purchase_us": last, "mean_gap_days": gap}
    computed = request_time({name: values.tolist() for name, values in (columns | {"purchase_days": days}).items()})
    x = np.column_stack([gap, *(np.array(computed[f.name], dtype=np.float64) for f in INPUTS[1:-1]), days])
    keys = pd.DataFrame({"customer_id": [f"c{i:02d}" for i in range(80)], "cutoff": cutoffs})
    return TrainingSet(keys, x, rng.random(80) < 0.5, INPUTS)


class TestDirection:
    def test_measure_wrong_direction_rising_or_constant_risk_zero(
        self, rows: TrainingSet, request_time: Callable[..., Any]
    ) -> None:
        assert measure_wrong_direction(lambda x: x[:, SILENCE] / 1000, rows, request_time, 1e-9) == 0
        assert measure_wrong_direction(lambda x: np.zeros(len(x)), rows, request_time, 1e-9) == 0

    def test_measure_wrong_direction_falling_risk_share_of_repeat_customers(
        self, rows: TrainingSet, request_time: Callable[..., Any]
    ) -> None:
        assert measure_wrong_direction(lambda x: -x[:, SILENCE] / 1000, rows, request_time, 1e-9) == 1
        falls = rows.column("tenure_days") > 300

        def some(x: np.ndarray) -> np.ndarray:
            return np.where(x[:, TENURE] > 300, -1, 1) * x[:, SILENCE] / 1000

        repeat = rows.x[:, SILENCE] < rows.x[:, TENURE]
        assert repeat.sum() == 60
        assert measure_wrong_direction(some, rows, request_time, 1e-9) == pytest.approx(falls[repeat].mean())

    def test_measure_wrong_direction_later_time_updates_derived_inputs(
        self, rows: TrainingSet, request_time: Callable[..., Any]
    ) -> None:
        scored: list[np.ndarray] = []

        def score(x: np.ndarray) -> np.ndarray:
            scored.append(x)
            return np.zeros(len(x))

        measure_wrong_direction(score, rows, request_time, 1e-9, days=[7])
        before, after = scored
        moved = np.minimum(7, before[:, TENURE] - before[:, SILENCE])  # never before the first purchase
        np.testing.assert_allclose(after[:, SILENCE], before[:, SILENCE] + moved, rtol=0, atol=1e-9)
        np.testing.assert_allclose(after[:, LATENESS], after[:, SILENCE] / after[:, GAP], rtol=1e-12)
        np.testing.assert_allclose(after[:, SHARE], after[:, SILENCE] / after[:, TENURE], rtol=1e-12)
        assert (after[moved > 0, LOG_ODDS] >= before[moved > 0, LOG_ODDS]).all()
        assert (after[moved > 0, LOG_ODDS] > before[moved > 0, LOG_ODDS]).any()
        np.testing.assert_array_equal(after[:, [GAP, TENURE]], before[:, [GAP, TENURE]])

    def test_measure_wrong_direction_declared_input_that_lowers_the_risk_counts(
        self, rows: TrainingSet, request_time: Callable[..., Any]
    ) -> None:
        """Silence as a whole raises this risk, and one input that is declared as increasing lowers it alone."""

        def score(x: np.ndarray) -> np.ndarray:
            return x[:, SILENCE] / 1000 - 1e-4 * np.nan_to_num(x[:, GAP])

        assert measure_wrong_direction(score, rows, request_time, 1e-9) == 0
        inputs = [replace(feature, increasing=feature.name == "mean_gap_days") for feature in INPUTS]
        declared = replace(rows, inputs=inputs)
        assert measure_wrong_direction(score, declared, request_time, 1e-9) > 0.5
        assert measure_wrong_direction(lambda x: np.nan_to_num(x[:, GAP]), declared, request_time, 1e-9) == 0

    def test_measure_wrong_direction_raised_silence_stays_within_the_tenure(
        self, rows: TrainingSet, request_time: Callable[..., Any]
    ) -> None:
        inputs = [replace(feature, increasing=feature.name == "days_since_last_purchase") for feature in INPUTS]
        scored: list[np.ndarray] = []

        def score(x: np.ndarray) -> np.ndarray:
            scored.append(x)
            return np.zeros(len(x))

        measure_wrong_direction(score, replace(rows, inputs=inputs), request_time, 1e-9)
        assert len(scored) > 4
        assert all((x[:, SILENCE] <= np.maximum(x[:, TENURE], rows.x[:, SILENCE])).all() for x in scored)

    def test_measure_wrong_direction_fall_within_tolerance_zero(
        self, rows: TrainingSet, request_time: Callable[..., Any]
    ) -> None:
        assert measure_wrong_direction(lambda x: -x[:, SILENCE] * 1e-13, rows, request_time, 1e-9) == 0

    def test_measure_wrong_direction_values_unlike_serving_raise(
        self, rows: TrainingSet, request_time: Callable[..., Any]
    ) -> None:
        x = rows.x.copy()
        x[3, SHARE] = np.nextafter(x[3, SHARE], 2)
        with pytest.raises(NotComputedError, match="other values than the test rows hold"):
            measure_wrong_direction(lambda x: x[:, 0], TrainingSet(rows.keys, x, rows.y, INPUTS), request_time, 1e-9)

    def test_measure_wrong_direction_only_one_time_customers_raises(
        self, rows: TrainingSet, request_time: Callable[..., Any]
    ) -> None:
        with pytest.raises(NotComputedError, match="no test row has a second purchase"):
            measure_wrong_direction(lambda x: x[:, 0], rows.take(np.arange(0, 80, 4)), request_time, 1e-9)

    def test_find_request_time_view_without_recency_input_raises(self) -> None:
        assert find_request_time_view(INPUTS) == "customer_request_time"
        with pytest.raises(NotComputedError, match="days_since_last_purchase"):
            find_request_time_view(INPUTS[:1])


class TestInvariance:
    def test_measure_variance_function_of_row_zero(self, rows: TrainingSet) -> None:
        assert measure_variance(lambda x: x[:, SILENCE] / 1000, rows.x, 0) == 0

    @pytest.mark.parametrize(
        "score",
        [
            lambda x: np.arange(len(x)) / len(x),  # the order
            lambda x: x[:, SILENCE] / x[:, SILENCE].max(),  # the other rows
            lambda x: np.full(len(x), min(len(x), 81) / 100),  # the number of rows
            lambda x: np.full(len(x), 0.5 if len(x) > 1 else 0.6),  # a single row
        ],
    )
    def test_measure_variance_score_depends_on_other_rows_positive(
        self, rows: TrainingSet, score: Callable[..., Any]
    ) -> None:
        assert measure_variance(score, rows.x, 0) > 0.005


def test_measure_latency_ms_slow_model_times_single_rows(rows: TrainingSet) -> None:
    shapes = set()

    def score(x: np.ndarray) -> np.ndarray:
        shapes.add(x.shape)
        time.sleep(0.003)
        return x[:, 0]

    assert 3 <= measure_latency_ms(score, rows.x, repeats=10) < 30
    assert shapes == {(1, rows.x.shape[1])}


def test_day_us_equals_one_day() -> None:
    assert timedelta(microseconds=DAY_US) == timedelta(days=1)
