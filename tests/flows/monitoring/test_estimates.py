"""Estimates from calibrated scores: what they expect comes true on average, within the interval as often as said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from flows.monitoring.estimates import expected
from flows.training.settings import ValueSettings

VALUE = ValueSettings()


def _scores(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(1.2, 0.8, rows).round(3)


def test_what_is_expected_comes_true_on_average() -> None:
    scores, rng = _scores(400), np.random.default_rng(1)
    offered = (scores >= 2 / 3).astype(float)
    told = expected(scores, offered, VALUE, 200, 0)
    outcomes = rng.random((400, 400)) < scores
    assert told["roc_auc"].value == pytest.approx(np.mean([roc_auc_score(y, scores) for y in outcomes]), abs=0.003)
    assert told["brier"].value == pytest.approx(((outcomes - scores) ** 2).mean(), abs=0.002)
    assert told["earned"].value == pytest.approx((offered * (3.0 * outcomes - 2.0)).mean(), abs=0.01)


def test_it_lies_in_the_interval_as_often_as_said() -> None:
    scores, rng = _scores(300), np.random.default_rng(2)
    told = expected(scores, np.ones(300), VALUE, 2000, 7)
    drawn = rng.random((400, 300)) < scores
    inside = [told["roc_auc"].low <= roc_auc_score(y, scores) <= told["roc_auc"].high for y in drawn]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)
    brier = ((drawn - scores) ** 2).mean(axis=1)
    assert np.mean((told["brier"].low <= brier) & (brier <= told["brier"].high)) == pytest.approx(0.95, abs=0.03)


def test_by_hand() -> None:
    """Two customers: the pair that counts is (churner, stayer), weighed by how probable it is."""
    told = expected(np.array([0.9, 0.2]), np.array([1.0, 0.0]), VALUE, 400, 0)
    right, wrong = 0.9 * 0.8, 0.2 * 0.1
    assert told["roc_auc"].value == pytest.approx(right / (right + wrong))
    assert told["brier"].value == pytest.approx((0.09 + 0.16) / 2)
    assert told["earned"].value == pytest.approx((3 * 0.9 - 2) / 2)


def test_equal_scores_rank_nobody() -> None:
    assert expected(np.full(50, 0.4), np.ones(50), VALUE, 100, 0)["roc_auc"].value == pytest.approx(0.5)


def test_certain_scores_have_no_ranking_to_expect() -> None:
    told = expected(np.ones(50), np.ones(50), VALUE, 100, 0)
    assert "roc_auc" not in told
    assert told["brier"].value == 0


def test_without_a_threshold_there_is_no_profit() -> None:
    assert "earned" not in expected(_scores(100), np.full(100, np.nan), VALUE, 100, 0)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=60))
def test_it_is_a_share(scores: list[float]) -> None:
    told = expected(np.array(scores), np.ones(len(scores)), VALUE, 50, 0)
    assert 0 <= told["brier"].value <= 0.25
    if "roc_auc" in told:
        assert 0.5 - 1e-9 <= told["roc_auc"].value <= 1
