"""Level of the probabilities: when it cannot be known, and what decides then."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.training.evaluation_report import Interval, LevelResult
from holdfast.training.level import KNOWN_WITHIN, choose_threshold, find_level_warning

SCORES = np.linspace(0, 1, 101)


def make_level(bias: float, half: float, days: int = 600) -> LevelResult:
    """Build a level with a symmetric interval."""
    return LevelResult(bias=Interval(value=bias, low=bias - half, high=bias + half), months=4, history_days=days)


@given(bias=st.floats(-0.5, 0.5), half=st.floats(0, 0.5), days=st.integers(1, 1000))
def test_find_level_warning_surely_off_or_less_than_a_year(bias: float, half: float, days: int) -> None:
    warning = find_level_warning(make_level(bias, half, days))
    assert (warning is not None) is (max(bias - half, -(bias + half)) > KNOWN_WITHIN or days < 365)
    if warning is not None:
        assert warning.size == pytest.approx(abs(bias) + half)
        assert f"off by up to {warning.size:.3f}" in warning.text


def test_find_level_warning_older_report_none() -> None:
    assert find_level_warning(None) is None


@given(threshold=st.floats(0, 1), bias=st.floats(-0.5, 0.5))
def test_choose_threshold_margin_raises_by_the_size_of_the_warning_only(threshold: float, bias: float) -> None:
    level = make_level(bias, 0.01)
    warning = find_level_warning(level)
    found, reason = choose_threshold(threshold, "margin", level, SCORES, SCORES)
    assert found == pytest.approx(min(1.0, threshold + (warning.size if warning else 0)))
    assert bool(reason) is (warning is not None)
    assert choose_threshold(threshold, "threshold", level, SCORES, SCORES) == (threshold, "")


def test_choose_threshold_rank_keeps_the_share_of_customers_at_any_level() -> None:
    for shift in (-0.2, 0.0, 0.3):
        found, reason = choose_threshold(0.7, "rank", None, SCORES, SCORES + shift)
        assert (SCORES + shift >= found).mean() == pytest.approx((SCORES >= 0.7).mean(), abs=0.02)
        assert "selects 31% of the customers" in reason
