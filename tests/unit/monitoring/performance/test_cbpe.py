"""CBPE: estimates equal the mean of drawn outcomes, and the intervals have their nominal coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from holdfast.monitoring.performance.cbpe import estimate_performance
from holdfast.training.evaluation_report import Interval
from holdfast.training.settings import ValueSettings

VALUE = ValueSettings()


def _scores(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(1.2, 0.8, rows).round(3)


def _estimate(scores: np.ndarray, offered: np.ndarray, resamples: int, seed: int) -> dict[str, Interval]:
    """Estimate for one customer per score."""
    return estimate_performance(scores, offered, np.arange(len(scores)), VALUE, resamples, seed)


def test_estimate_equals_mean_of_drawn_outcomes() -> None:
    scores, rng = _scores(400), np.random.default_rng(1)
    offered = (scores >= 2 / 3).astype(float)
    estimate = _estimate(scores, offered, 200, 0)
    outcomes = rng.random((400, 400)) < scores
    assert estimate["roc_auc"].value == pytest.approx(np.mean([roc_auc_score(y, scores) for y in outcomes]), abs=0.003)
    assert estimate["brier"].value == pytest.approx(((outcomes - scores) ** 2).mean(), abs=0.002)
    assert estimate["earned"].value == pytest.approx((offered * (3.0 * outcomes - 2.0)).mean(), abs=0.01)


def test_estimate_interval_has_nominal_coverage() -> None:
    scores, rng = _scores(300), np.random.default_rng(2)
    estimate = _estimate(scores, np.ones(300), 2000, 7)
    drawn = rng.random((400, 300)) < scores
    inside = [estimate["roc_auc"].low <= roc_auc_score(y, scores) <= estimate["roc_auc"].high for y in drawn]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)
    brier = ((drawn - scores) ** 2).mean(axis=1)
    assert np.mean((estimate["brier"].low <= brier) & (brier <= estimate["brier"].high)) == pytest.approx(
        0.95, abs=0.03
    )


def test_estimate_of_two_customers_equals_formula() -> None:
    """The ROC-AUC is the probability-weighted share of concordant (churner, stayer) pairs."""
    estimate = _estimate(np.array([0.9, 0.2]), np.array([1.0, 0.0]), 400, 0)
    right, wrong = 0.9 * 0.8, 0.2 * 0.1
    assert estimate["roc_auc"].value == pytest.approx(right / (right + wrong))
    assert estimate["brier"].value == pytest.approx((0.09 + 0.16) / 2)
    assert estimate["earned"].value == pytest.approx((3 * 0.9 - 2) / 2)


def test_estimate_of_equal_scores_has_auc_of_half() -> None:
    assert _estimate(np.full(50, 0.4), np.ones(50), 100, 0)["roc_auc"].value == pytest.approx(0.5)


def test_estimate_of_certain_scores_has_no_auc() -> None:
    estimate = _estimate(np.ones(50), np.ones(50), 100, 0)
    assert "roc_auc" not in estimate
    assert estimate["brier"].value == 0


def test_estimate_without_threshold_has_no_profit() -> None:
    assert "earned" not in _estimate(_scores(100), np.full(100, np.nan), 100, 0)


def test_estimate_of_repeated_rows_equals_single_rows() -> None:
    """Thirty rows per customer give the same values and the same interval widths as one row."""
    scores = _scores(200)
    offered, names = (scores >= 2 / 3).astype(float), np.array([f"c{n}" for n in range(200)], dtype=object)
    once = estimate_performance(scores, offered, names, VALUE, 200, 3)
    daily = estimate_performance(np.tile(scores, 30), np.tile(offered, 30), np.tile(names, 30), VALUE, 200, 3)
    assert daily.keys() == once.keys() == {"roc_auc", "brier", "earned"}
    for metric, interval in once.items():
        assert (daily[metric].value, daily[metric].low, daily[metric].high) == pytest.approx(
            (interval.value, interval.low, interval.high)
        )


def test_estimate_interval_of_changing_scores_has_nominal_coverage() -> None:
    """Half of the customers have ten rows; a row churns if its score is above its customer's number."""
    rng = np.random.default_rng(5)
    codes = np.repeat(np.arange(200), np.where(np.arange(200) % 2, 10, 1))
    scores = np.clip(_scores(200)[codes] + rng.normal(0, 0.05, len(codes)), 0.01, 0.99)
    offered = (scores >= 2 / 3).astype(float)
    estimate = estimate_performance(scores, offered, codes, VALUE, 1000, 7)
    churned = rng.random((1000, 200))[:, codes] < scores
    drawn = {
        "roc_auc": np.array([roc_auc_score(y, scores) for y in churned]),
        "brier": ((churned - scores) ** 2).mean(axis=1),
        "earned": (offered * (3.0 * churned - 2.0)).mean(axis=1),
    }
    for metric, values in drawn.items():
        inside = (estimate[metric].low <= values) & (values <= estimate[metric].high)
        assert inside.mean() == pytest.approx(0.95, abs=0.025), metric
        assert estimate[metric].value == pytest.approx(values.mean(), abs=values.std() / 5), metric


def test_estimate_ranks_pairs_of_different_customers_only() -> None:
    """Both rows of customer a make a pair with customer b."""
    estimate = estimate_performance(np.array([0.9, 0.6, 0.2]), np.ones(3), np.array(["a", "a", "b"]), VALUE, 50, 0)
    right, wrong = (0.9 + 0.6) * 0.8, 0.2 * (0.1 + 0.4)
    assert estimate["roc_auc"].value == pytest.approx(right / (right + wrong))


def test_estimate_is_independent_of_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = _scores(300)
    whole = estimate_performance(scores, np.ones(300), np.arange(300) // 3, VALUE, 120, 0)
    monkeypatch.setattr("holdfast.training.bootstrap._CELLS", 900)
    parts = estimate_performance(scores, np.ones(300), np.arange(300) // 3, VALUE, 120, 0)
    for metric, interval in whole.items():
        assert (parts[metric].low, parts[metric].high) == pytest.approx((interval.low, interval.high))


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=60))
def test_estimate_lies_in_valid_range(scores: list[float]) -> None:
    estimate = _estimate(np.array(scores), np.ones(len(scores)), 50, 0)
    assert 0 <= estimate["brier"].value <= 0.25
    if "roc_auc" in estimate:
        assert 0.5 - 1e-9 <= estimate["roc_auc"].value <= 1
