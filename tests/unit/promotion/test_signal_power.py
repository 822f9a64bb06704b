"""Power of the signal gate, checked with simulated tests."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from holdfast.promotion.safety_gates import signal_z
from holdfast.promotion.signal_power import POWER, compute_needed_data
from holdfast.training.evaluation_report import Interval
from tests.support.gate_evidence import good_evaluation


def _independent(rows: int, rate: float) -> Interval:
    half = norm.ppf(0.975) / np.sqrt(12 * rows * rate * (1 - rate))
    return Interval(value=0.5, low=0.5 - half, high=0.5 + half)


def test_compute_needed_data_finds_the_roc_auc_with_its_power() -> None:
    rate, rng = 0.3, np.random.default_rng(0)
    evaluation = good_evaluation(rows=1000, base_rate=rate)
    needed = compute_needed_data(evaluation, _independent(1000, rate))
    assert [item.roc_auc for item in needed] == [0.55, 0.60]
    for item in needed:
        shift, found = np.sqrt(2) * norm.ppf(item.roc_auc), 0
        half = signal_z(has_folds=True) / np.sqrt(12 * item.rows * rate * (1 - rate))
        for _ in range(400):
            churned = rng.random(item.rows) < rate
            scores = rng.normal(size=item.rows) + shift * churned
            found += roc_auc_score(churned, scores) - half > 0.5
        assert found / 400 == pytest.approx(POWER, abs=0.06)


def test_compute_needed_data_dependent_rows_need_more() -> None:
    evaluation = good_evaluation(rows=1000, base_rate=0.3)
    interval = _independent(1000, 0.3)
    wide = Interval(value=0.5, low=0.5 - 2 * (0.5 - interval.low), high=0.5 + 2 * (interval.high - 0.5))
    few, many = compute_needed_data(evaluation, interval), compute_needed_data(evaluation, wide)
    for independent, dependent in zip(few, many, strict=True):
        assert dependent.rows == pytest.approx(4 * independent.rows, abs=4)
        assert dependent.months == -(-dependent.rows // 1000)


@pytest.mark.parametrize("changed", [{"base_rate": 0.0}, {"rows": 0}])
def test_compute_needed_data_without_spread_is_empty(changed: dict[str, float]) -> None:
    assert compute_needed_data(good_evaluation(**changed), _independent(1000, 0.3)) == []
    nan = Interval(value=0.5, low=float("nan"), high=float("nan"))
    assert compute_needed_data(good_evaluation(), nan) == []
