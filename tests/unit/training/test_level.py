"""Level of the probabilities: when it cannot be known, and what decides then."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.training.level import KNOWN_WITHIN, choose_threshold, find_level_warning
from tests.support.gate_evidence import make_level

SCORES = np.linspace(0, 1, 101)


@given(bias=st.floats(-0.5, 0.5), half=st.floats(0, 0.5), days=st.integers(1, 1000), spread=st.floats(0, 0.5))
def test_find_level_warning_surely_off_or_less_than_a_year(bias: float, half: float, days: int, spread: float) -> None:
    warning = find_level_warning(make_level(bias, half, days, spread))
    missed = max(bias - half, -(bias + half)) > KNOWN_WITHIN
    assert (warning is not None) is (missed or days < 365)
    if warning is not None:
        unseen = spread if days < 365 else 0.0
        assert warning.size == pytest.approx(max(abs(bias) + half, unseen))
        assert warning.too_high == pytest.approx(max(bias + half, unseen, 0.0))
        assert 0 <= warning.too_high <= warning.size
        assert f"off by {warning.size:.3f} or more" in warning.text
        assert ("the mean prediction was" in warning.text) is missed
        assert ("holds no whole year" in warning.text) is (days < 365)


@given(days=st.integers(365, 2000), spread=st.floats(0, 1))
def test_find_level_warning_whole_year_of_history_months_may_differ(days: int, spread: float) -> None:
    """With a year of history every season is known, however far the months differ."""
    assert find_level_warning(make_level(0.0, 0.02, days, spread)) is None


def test_find_level_warning_less_than_a_year_size_is_at_least_the_spread_of_the_months() -> None:
    warning = find_level_warning(make_level(0.0, 0.02, 200, 0.13))
    assert warning is not None
    assert (warning.size, warning.too_high) == (0.13, 0.13)
    assert "the history of 200 days holds no whole year" in warning.text
    assert "observed months differ by up to 0.130 from their mean" in warning.text


def test_find_level_warning_older_report_none() -> None:
    assert find_level_warning(None) is None


@given(threshold=st.floats(0, 1), bias=st.floats(-0.5, 0.5), days=st.sampled_from([200, 600]))
def test_choose_threshold_margin_raises_by_the_distance_too_high_only(threshold: float, bias: float, days: int) -> None:
    level = make_level(bias, 0.01, days, 0.08)
    warning = find_level_warning(level)
    found, reason = choose_threshold(threshold, "margin", level, SCORES, SCORES)
    assert found == pytest.approx(min(1.0, threshold + (warning.too_high if warning else 0)))
    assert bool(reason) is (warning is not None and warning.too_high > 0)
    assert choose_threshold(threshold, "threshold", level, SCORES, SCORES) == (threshold, "")


def test_choose_threshold_margin_predictions_too_low_threshold_unchanged() -> None:
    """Where the churn is higher than predicted, each offer that the threshold selects pays all the more."""
    low = make_level(-0.2, 0.01)
    assert find_level_warning(low) is not None
    assert choose_threshold(0.6, "margin", low, SCORES, SCORES) == (0.6, "")
    found, reason = choose_threshold(0.6, "margin", make_level(0.2, 0.01), SCORES, SCORES)
    assert found == pytest.approx(0.81)
    assert reason == "Decisions with a margin: the threshold 0.600 is raised by 0.210."


def test_choose_threshold_rank_keeps_the_share_of_customers_at_any_level() -> None:
    for shift in (-0.2, 0.0, 0.3):
        found, reason = choose_threshold(0.7, "rank", None, SCORES, SCORES + shift)
        assert (SCORES + shift >= found).mean() == pytest.approx((SCORES >= 0.7).mean(), abs=0.02)
        assert "selects 31% of the customers" in reason
