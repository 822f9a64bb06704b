"""Profit of offers and the optimal threshold."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.evaluation_report import Interval, ProfitEstimate
from holdfast.training.profit import estimate_profit, optimal_threshold, profit_curve, profit_per_row
from holdfast.training.settings import ValueSettings
from tests.support.strategies import EXAMPLES

# An offer gains 10 for a churner and costs 4, so it pays from a churn probability of 40%.
VALUE = ValueSettings(kept_customer=40, offer_cost=4, response_rate=0.25)


@dataclass(frozen=True)
class Rows:
    """Rows with outcomes and scores."""

    churned: Bools
    scores: Floats

    def value(self, threshold: float, value: ValueSettings = VALUE) -> ProfitEstimate:
        bootstrap = CustomerBootstrap(np.arange(len(self.scores)), 100, 0)
        return estimate_profit(self.churned, self.scores, threshold, value, bootstrap)


def _calibrated(rows: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    scores = rng.random(rows)
    return Rows(rng.random(rows) < scores, scores)


_settings = st.builds(
    lambda worth, rate, share: ValueSettings(kept_customer=worth, response_rate=rate, offer_cost=worth * rate * share),
    st.floats(0.01, 1e6),
    st.floats(0.001, 1),
    st.floats(0.001, 0.999),
)


class TestOptimalThreshold:
    def test_optimal_threshold_valid_costs_equals_cost_over_gain(self) -> None:
        assert optimal_threshold(VALUE) == pytest.approx(0.4)
        assert optimal_threshold(ValueSettings()) == pytest.approx(2 / 3)

    @given(_settings)
    @EXAMPLES
    def test_optimal_threshold_any_costs_highest_expected_profit(self, value: ValueSettings) -> None:
        """Compute exact expectations: a row of score p churns with probability p."""
        scores, threshold = np.linspace(0, 1, 201), optimal_threshold(value)

        def expected(at: float) -> float:
            all_rows = np.ones(201, dtype=bool)
            churned, stayed = (profit_per_row(outcome, scores, at, value) for outcome in (all_rows, ~all_rows))
            return float((scores * churned + (1 - scores) * stayed).mean())

        best = expected(threshold)
        rivals = [expected(at) for at in (0.0, 0.25, 0.5, 0.75, 1.0, 2.0, threshold * 0.9, threshold * 1.1)]
        assert max(rivals) <= best + 1e-9 * value.kept_customer
        assert best >= 0

    def test_optimal_threshold_simulated_customers_close_to_best(self) -> None:
        rows = _calibrated(200_000)
        found = rows.value(optimal_threshold(VALUE))
        assert found.best_threshold == pytest.approx(0.4, abs=0.05)
        assert found.best - found.earned.value < 0.01
        assert found.earned.value > max(found.at_half.value, found.offers_to_all, 0)
        # In expectation: the integral of 10 p - 4 from 0.4 to 1.
        assert found.earned.value == pytest.approx(10 * (1 - 0.4**2) / 2 - 4 * 0.6, abs=0.03)

    @pytest.mark.parametrize("cost", [10, 11])
    def test_value_settings_unprofitable_offer_raises(self, cost: float) -> None:
        with pytest.raises(ValidationError, match=r"an offer never pays: offer_cost must be below kept_customer \* "):
            ValueSettings(kept_customer=40, offer_cost=cost, response_rate=0.25)
        ValueSettings(kept_customer=40, offer_cost=9.99, response_rate=0.25)


class TestProfitPerRow:
    ROWS = Rows(np.array([True, False, True, False]), np.array([0.9, 0.6, 0.4, 0.1]))

    def test_profit_per_row_four_rows_equals_manual_calculation(self) -> None:
        churned, scores = self.ROWS.churned, self.ROWS.scores
        assert profit_per_row(churned, scores, 0.4, VALUE).tolist() == [6, -4, 6, 0]  # 0.4 itself gets an offer
        assert profit_per_row(churned, scores, 0.41, VALUE).tolist() == [6, -4, 0, 0]
        assert profit_per_row(churned, scores, 0.0, VALUE).tolist() == [6, -4, 6, -4]
        assert profit_per_row(churned, scores, 1.0, VALUE).tolist() == [0, 0, 0, 0]

    def test_estimate_profit_four_rows_equals_manual_calculation(self) -> None:
        estimate = self.ROWS.value(0.4)
        assert estimate.threshold == 0.4
        assert estimate.earned.value == 8 / 4
        assert estimate.at_half.value == 2 / 4
        assert estimate.lost_by_half.value == 6 / 4
        assert estimate.offers_to_all == 4 / 4
        assert estimate.best == 8 / 4
        assert estimate.best_threshold == 0.4

    def test_profit_curve_four_rows_mean_at_each_threshold(self) -> None:
        thresholds, money = profit_curve(self.ROWS.churned, self.ROWS.scores, VALUE)
        assert (thresholds[0], thresholds[-1], len(thresholds)) == (0, 1, len(money))
        assert dict(zip(thresholds.tolist(), money.tolist(), strict=True))[0.5] == 2 / 4
        for threshold, value in zip(thresholds, money, strict=True):
            assert value == profit_per_row(self.ROWS.churned, self.ROWS.scores, threshold, VALUE).mean()


class TestLostByHalf:
    def _lost(self, churned: Any, score: float) -> Interval:
        rows = Rows(np.full(50, churned) if isinstance(churned, bool) else churned, np.full(50, score))
        return rows.value(0.4).lost_by_half

    def test_estimate_profit_churner_between_thresholds_positive_loss(self) -> None:
        assert self._lost(True, 0.45) == Interval(value=6, low=6, high=6)

    def test_estimate_profit_loyal_customer_between_thresholds_negative_loss(self) -> None:
        assert self._lost(False, 0.45) == Interval(value=-4, low=-4, high=-4)

    @pytest.mark.parametrize("score", [0.39, 0.5, 0.9])
    def test_estimate_profit_score_outside_thresholds_zero_loss(self, score: float) -> None:
        assert self._lost(True, score) == Interval(value=0, low=0, high=0)

    def test_estimate_profit_loss_is_paired_difference(self) -> None:
        found = _calibrated(1000).value(0.4)
        assert found.lost_by_half.value == pytest.approx(found.earned.value - found.at_half.value)
        assert found.lost_by_half.low < found.lost_by_half.value < found.lost_by_half.high
        width, alone = (item.high - item.low for item in (found.lost_by_half, found.earned))
        assert width < alone / 2


class TestHindsight:
    @given(
        st.lists(
            st.tuples(st.booleans(), st.one_of(st.floats(0, 1), st.sampled_from([0.3, 1.0]))), min_size=1, max_size=30
        ),
        st.floats(0.01, 0.99),
    )
    @EXAMPLES
    def test_estimate_profit_any_rows_best_is_maximum_over_thresholds(
        self, rows: list[tuple[bool, float]], share: float
    ) -> None:
        churned, scores = np.array([y for y, _ in rows]), np.array([s for _, s in rows])
        value = ValueSettings(kept_customer=40, response_rate=0.25, offer_cost=10 * share)
        found = Rows(churned, scores).value(optimal_threshold(value), value)
        possible = [profit_per_row(churned, scores, at, value).mean() for at in [*scores, 0.0]]
        assert found.best == pytest.approx(max(0.0, *possible))
        if found.best > 0:
            assert profit_per_row(churned, scores, found.best_threshold, value).mean() == pytest.approx(found.best)
        assert found.best >= max(found.earned.value, found.at_half.value, found.offers_to_all) - 1e-12
