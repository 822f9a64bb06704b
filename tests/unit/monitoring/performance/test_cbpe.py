"""Estimates from calibrated scores: what they expect comes true on average, within the interval as often as said."""

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


def _told(scores: np.ndarray, offered: np.ndarray, resamples: int, seed: int) -> dict[str, Interval]:
    """What is expected of as many customers as there are scores."""
    return estimate_performance(scores, offered, np.arange(len(scores)), VALUE, resamples, seed)


def test_what_is_expected_comes_true_on_average() -> None:
    scores, rng = _scores(400), np.random.default_rng(1)
    offered = (scores >= 2 / 3).astype(float)
    told = _told(scores, offered, 200, 0)
    outcomes = rng.random((400, 400)) < scores
    assert told["roc_auc"].value == pytest.approx(np.mean([roc_auc_score(y, scores) for y in outcomes]), abs=0.003)
    assert told["brier"].value == pytest.approx(((outcomes - scores) ** 2).mean(), abs=0.002)
    assert told["earned"].value == pytest.approx((offered * (3.0 * outcomes - 2.0)).mean(), abs=0.01)


def test_it_lies_in_the_interval_as_often_as_said() -> None:
    scores, rng = _scores(300), np.random.default_rng(2)
    told = _told(scores, np.ones(300), 2000, 7)
    drawn = rng.random((400, 300)) < scores
    inside = [told["roc_auc"].low <= roc_auc_score(y, scores) <= told["roc_auc"].high for y in drawn]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)
    brier = ((drawn - scores) ** 2).mean(axis=1)
    assert np.mean((told["brier"].low <= brier) & (brier <= told["brier"].high)) == pytest.approx(0.95, abs=0.03)


def test_by_hand() -> None:
    """Two customers: the pair that counts is (churner, stayer), weighed by how probable it is."""
    told = _told(np.array([0.9, 0.2]), np.array([1.0, 0.0]), 400, 0)
    right, wrong = 0.9 * 0.8, 0.2 * 0.1
    assert told["roc_auc"].value == pytest.approx(right / (right + wrong))
    assert told["brier"].value == pytest.approx((0.09 + 0.16) / 2)
    assert told["earned"].value == pytest.approx((3 * 0.9 - 2) / 2)


def test_equal_scores_rank_nobody() -> None:
    assert _told(np.full(50, 0.4), np.ones(50), 100, 0)["roc_auc"].value == pytest.approx(0.5)


def test_certain_scores_have_no_ranking_to_expect() -> None:
    told = _told(np.ones(50), np.ones(50), 100, 0)
    assert "roc_auc" not in told
    assert told["brier"].value == 0


def test_without_a_threshold_there_is_no_profit() -> None:
    assert "earned" not in _told(_scores(100), np.full(100, np.nan), 100, 0)


def test_a_customer_asked_about_each_day_says_no_more_than_once() -> None:
    """Thirty rows of each instead of one: the same values, and intervals that are no narrower."""
    scores = _scores(200)
    offered, names = (scores >= 2 / 3).astype(float), np.array([f"c{n}" for n in range(200)], dtype=object)
    once = estimate_performance(scores, offered, names, VALUE, 200, 3)
    daily = estimate_performance(np.tile(scores, 30), np.tile(offered, 30), np.tile(names, 30), VALUE, 200, 3)
    assert daily.keys() == once.keys() == {"roc_auc", "brier", "earned"}
    for measure, told in once.items():
        assert (daily[measure].value, daily[measure].low, daily[measure].high) == pytest.approx(
            (told.value, told.low, told.high)
        )


def test_scores_that_move_from_day_to_day_come_true_in_the_interval_too() -> None:
    """Some asked about on ten days, others once; a customer churns in those rows whose score is above his number."""
    rng = np.random.default_rng(5)
    codes = np.repeat(np.arange(200), np.where(np.arange(200) % 2, 10, 1))
    scores = np.clip(_scores(200)[codes] + rng.normal(0, 0.05, len(codes)), 0.01, 0.99)
    offered = (scores >= 2 / 3).astype(float)
    told = estimate_performance(scores, offered, codes, VALUE, 1000, 7)
    churned = rng.random((1000, 200))[:, codes] < scores
    drawn = {
        "roc_auc": np.array([roc_auc_score(y, scores) for y in churned]),
        "brier": ((churned - scores) ** 2).mean(axis=1),
        "earned": (offered * (3.0 * churned - 2.0)).mean(axis=1),
    }
    for measure, values in drawn.items():
        inside = (told[measure].low <= values) & (values <= told[measure].high)
        assert inside.mean() == pytest.approx(0.95, abs=0.025), measure
        assert told[measure].value == pytest.approx(values.mean(), abs=values.std() / 5), measure


def test_only_pairs_of_two_customers_are_ranked() -> None:
    """By hand: of the two rows of one of two customers, each makes a pair with the other customer."""
    told = estimate_performance(np.array([0.9, 0.6, 0.2]), np.ones(3), np.array(["a", "a", "b"]), VALUE, 50, 0)
    right, wrong = (0.9 + 0.6) * 0.8, 0.2 * (0.1 + 0.4)
    assert told["roc_auc"].value == pytest.approx(right / (right + wrong))


def test_of_many_rows_fewer_outcomes_are_drawn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = _scores(300)
    whole = estimate_performance(scores, np.ones(300), np.arange(300) // 3, VALUE, 120, 0)
    monkeypatch.setattr("holdfast.training.bootstrap._CELLS", 900)
    parts = estimate_performance(scores, np.ones(300), np.arange(300) // 3, VALUE, 120, 0)
    for measure, told in whole.items():
        assert (parts[measure].low, parts[measure].high) == pytest.approx((told.low, told.high))


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=60))
def test_it_is_a_share(scores: list[float]) -> None:
    told = _told(np.array(scores), np.ones(len(scores)), 50, 0)
    assert 0 <= told["brier"].value <= 0.25
    if "roc_auc" in told:
        assert 0.5 - 1e-9 <= told["roc_auc"].value <= 1
