"""Metrics: manual calculations, scikit-learn, and rows of one class."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.evaluation_report import METRIC_LABELS, Interval
from holdfast.training.metrics import (
    clip_log_odds,
    compute_metric_intervals,
    compute_metrics,
    level_free_log_loss,
    level_offset,
    log_loss_per_row,
    roc_auc_difference,
)
from tests.support.strategies import EXAMPLES

ROWS = 600
CUSTOMERS = np.arange(ROWS) % 200  # three rows each


@pytest.fixture(scope="module")
def churned() -> Bools:
    return np.random.default_rng(5).random(ROWS) < 0.4


@pytest.fixture(scope="module")
def bootstrap() -> CustomerBootstrap:
    return CustomerBootstrap(CUSTOMERS, 200, 0)


def _scores(churned: Bools, signal: float, seed: int = 0) -> Floats:
    noise = np.random.default_rng(seed).normal(size=len(churned))
    return 1 / (1 + np.exp(-(signal * churned + noise - 0.5)))


class TestComputeMetrics:
    def test_compute_metrics_four_rows_equals_manual_calculation(self) -> None:
        churned, scores = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.6, 0.1])
        found = compute_metrics(churned, scores)
        assert found["roc_auc"] == 3 / 4  # of the four pairs only (0.6, 0.8) is the wrong way round
        assert found["pr_auc"] == pytest.approx((1 + 2 / 3) / 2)
        assert found["brier"] == pytest.approx((0.1**2 + 0.8**2 + 0.4**2 + 0.1**2) / 4)
        assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.9]).mean())
        assert found["ece"] == pytest.approx((0.1 + 0.8 + 0.4 + 0.1) / 4)  # every row is a separate bin
        assert found.keys() == METRIC_LABELS.keys()

    def test_compute_metrics_random_rows_equals_scikit_learn(self, churned: Bools) -> None:
        scores = _scores(churned, 1.0)
        found = compute_metrics(churned, scores)
        assert found["roc_auc"] == roc_auc_score(churned, scores)
        assert found["pr_auc"] == average_precision_score(churned, scores)
        assert found["brier"] == brier_score_loss(churned, scores)
        assert found["log_loss"] == log_loss(churned, scores)

    @pytest.mark.parametrize("outcome", [True, False])
    def test_compute_metrics_single_class_ranking_metrics_nan(self, outcome: bool) -> None:
        """A month in which all customers churned must not stop a training."""
        scores = np.array([0.25, 0.5, 0.75])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = compute_metrics(np.full(3, outcome), scores)
            difference = roc_auc_difference(
                np.full(3, outcome), scores, 1 - scores, CustomerBootstrap(list("abc"), 50, 0)
            )
        assert np.isnan(found["roc_auc"])
        assert found["pr_auc"] == 1 if outcome else np.isnan(found["pr_auc"])
        assert found["brier"] == pytest.approx((0.25**2 + 0.5**2 + 0.75**2) / 3)
        assert found["log_loss"] == pytest.approx(-np.log([0.25, 0.5, 0.75]).mean())
        assert np.isnan([difference.value, difference.low, difference.high]).all()


class TestLogLossPerRow:
    @given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=30))
    @EXAMPLES
    def test_log_loss_per_row_any_rows_mean_equals_scikit_learn(self, rows: list[tuple[bool, float]]) -> None:
        churned, scores = np.array([y for y, _ in rows]), np.array([s for _, s in rows])
        expected = log_loss(churned, scores, labels=[False, True])
        assert log_loss_per_row(churned, scores).mean() == pytest.approx(expected, rel=1e-9, abs=1e-12)

    def test_log_loss_per_row_certain_error_finite(self) -> None:
        assert log_loss_per_row(np.array([True, False]), np.array([0.0, 1.0])) == pytest.approx(
            [36.04, 36.04], abs=0.01
        )
        assert log_loss_per_row(np.array([True, False]), np.array([1.0, 0.0])) == pytest.approx([0, 0], abs=1e-12)


class TestIntervals:
    def test_compute_metric_intervals_random_rows_contain_metrics(
        self, churned: Bools, bootstrap: CustomerBootstrap
    ) -> None:
        scores = _scores(churned, 1.0)
        found = compute_metric_intervals(churned, scores, bootstrap)
        assert {name: item.value for name, item in found.items()} == compute_metrics(churned, scores)
        for name, item in found.items():
            assert item.low < item.value < item.high, name
            assert item.high - item.low < 0.2, name

    def test_compute_metric_intervals_random_rows_distinct_for_each_metric(
        self, churned: Bools, bootstrap: CustomerBootstrap
    ) -> None:
        found = compute_metric_intervals(churned, _scores(churned, 1.0), bootstrap)
        assert len({(item.low, item.high) for item in found.values()}) == len(METRIC_LABELS)

    def test_compute_metric_intervals_more_customers_narrower(self, churned: Bools) -> None:
        scores = _scores(churned, 1.0)
        many = compute_metric_intervals(churned, scores, CustomerBootstrap(np.arange(ROWS), 200, 0))["roc_auc"]
        few = compute_metric_intervals(churned[:60], scores[:60], CustomerBootstrap(np.arange(60), 200, 0))["roc_auc"]
        assert few.high - few.low > 2 * (many.high - many.low)


class TestRocAucDifference:
    def test_roc_auc_difference_same_ranking_zero(self, churned: Bools, bootstrap: CustomerBootstrap) -> None:
        scores = _scores(churned, 1.0)
        nothing = Interval(value=0, low=0, high=0)
        assert roc_auc_difference(churned, scores, scores, bootstrap) == nothing
        assert roc_auc_difference(churned, scores, scores**2, bootstrap) == nothing

    def test_roc_auc_difference_swapped_scores_opposite_sign(
        self, churned: Bools, bootstrap: CustomerBootstrap
    ) -> None:
        left, right = _scores(churned, 1.5), _scores(churned, 0.5, 1)
        found = roc_auc_difference(churned, left, right, bootstrap)
        turned = roc_auc_difference(churned, right, left, bootstrap)
        assert found.value == roc_auc_score(churned, left) - roc_auc_score(churned, right) > 0
        assert found.low <= found.value <= found.high
        assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))

    def test_roc_auc_difference_correlated_errors_narrower_than_single_intervals(
        self, churned: Bools, bootstrap: CustomerBootstrap
    ) -> None:
        """The difference of two models with correlated errors is less uncertain than each model."""
        left = _scores(churned, 1.0)
        right = np.clip(left + np.random.default_rng(1).normal(size=ROWS) * 0.02, 0, 1)
        alone = compute_metric_intervals(churned, left, bootstrap)["roc_auc"]
        together = roc_auc_difference(churned, left, right, bootstrap)
        assert together.high - together.low < (alone.high - alone.low) / 4


class TestLevel:
    @given(
        st.lists(st.floats(-40, 40), min_size=2, max_size=40),
        st.floats(-5, 5),
        st.data(),
    )
    @EXAMPLES
    def test_level_free_log_loss_shifted_log_odds_same_loss_lowest_of_all_offsets(
        self, values: list[float], shift: float, data: st.DataObject
    ) -> None:
        log_odds = np.array(values)
        churned = np.zeros(len(values), dtype=bool)
        churned[: data.draw(st.integers(1, len(values) - 1))] = True
        clipped = clip_log_odds(log_odds)
        offset = level_offset(churned, clipped)
        assert expit(clipped + offset).mean() == pytest.approx(churned.mean(), abs=1e-6)
        loss = level_free_log_loss(churned, log_odds).mean()
        for other in (offset - 0.5, offset + 0.5, 0.0):
            shifted = clipped + other
            assert loss <= np.logaddexp(0, np.where(churned, -shifted, shifted)).mean() + 1e-9
        inner = np.clip(log_odds, -20, 20)  # no value is clipped after the shift either
        assert level_free_log_loss(churned, inner + shift) == pytest.approx(
            level_free_log_loss(churned, inner), abs=1e-6
        )

    @pytest.mark.parametrize("shift", [-700.0, 0.0, 700.0])
    def test_level_offset_far_level_found(self, shift: float) -> None:
        """A steep sigmoid has log-odds far beyond those of a probability."""
        log_odds = np.array([-30.0, -1.0, 0.5, 90.0]) + shift
        churned = np.array([False, True, False, True])
        assert expit(log_odds + level_offset(churned, log_odds)).mean() == pytest.approx(0.5, abs=1e-6)

    @given(st.lists(st.floats(-20, 20), min_size=1, max_size=30), st.floats(-10, 10))
    @EXAMPLES
    def test_level_offset_probabilities_as_target_offset_between_both_models(
        self, values: list[float], shift: float
    ) -> None:
        """The refit guard removes the level of one model from that of another."""
        log_odds = np.array(values)
        assert level_offset(expit(log_odds + shift), log_odds) == pytest.approx(shift, abs=1e-4)

    def test_level_free_log_loss_constant_score_entropy_of_base_rate(self) -> None:
        churned = np.arange(100) < 30
        expected = -(0.3 * np.log(0.3) + 0.7 * np.log(0.7))
        for value in (-3.0, 0.0, np.inf):
            assert level_free_log_loss(churned, np.full(100, value)).mean() == pytest.approx(expected)
