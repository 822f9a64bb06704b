"""PSI: formula, invariances, and distribution without drift."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from holdfast.monitoring.drift.psi import PsiResult, measure_psi, measure_psi_by_column

NAN = float("nan")
VALUES = arrays(np.float64, st.integers(1, 60), elements=st.floats(-100, 100) | st.just(NAN))
# 10, 20, ... distinct whole numbers: their deciles are between two numbers, and no value of ELSEWHERE is so close to
# a decile that rounding could move it to another bin.
TENS = st.integers(1, 6).flatmap(
    lambda tens: arrays(np.float64, 10 * tens, elements=st.integers(-100, 100).map(float), unique=True)
)
ELSEWHERE = arrays(
    np.float64, st.integers(1, 60), elements=st.integers(-120, 120).map(lambda n: n + 0.05) | st.just(NAN)
)


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    return measure_psi("", reference, current).psi


def test_psi_of_two_bins_equals_formula() -> None:
    """The shares of two bins are 1/2 and 1/2 in the reference, 1/4 and 3/4 in the current values."""
    reference, current = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    expected = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert psi(reference, current) == pytest.approx(expected)


def test_psi_counts_empty_bin_as_half_a_row() -> None:
    reference, current = np.array([0.0] * 5 + [1.0] * 5), np.array([1.0] * 10)
    assert psi(reference, current) == pytest.approx((0.05 - 0.5) * math.log(0.05 / 0.5) + 0.5 * math.log(1 / 0.5))


@given(VALUES)
def test_psi_of_equal_distributions_is_zero(values: np.ndarray) -> None:
    assert psi(values, values) == 0
    assert psi(values, np.random.default_rng(0).permutation(np.tile(values, 3))) == pytest.approx(0, abs=1e-12)


@given(VALUES, VALUES)
def test_psi_is_finite_and_not_negative(reference: np.ndarray, current: np.ndarray) -> None:
    assert 0 <= psi(reference, current) < math.inf


@given(TENS, ELSEWHERE, st.floats(0.01, 100), st.floats(-5, 5))
def test_psi_is_invariant_to_scale_and_shift(
    reference: np.ndarray, current: np.ndarray, scale: float, shift: float
) -> None:
    assert psi(reference * scale + shift, current * scale + shift) == pytest.approx(psi(reference, current), abs=1e-12)


def test_psi_puts_missing_values_in_separate_bin() -> None:
    known = np.arange(100.0)
    half_missing = np.where(np.arange(100) % 2, NAN, known)
    assert psi(known, half_missing) > 1
    assert psi(half_missing, half_missing[::-1]) == 0


def test_psi_with_missing_reference_values() -> None:
    assert psi(np.full(10, NAN), np.full(20, NAN)) == 0
    assert psi(np.full(10, NAN), np.arange(20.0)) > 1


def test_psi_noise_equals_published_distribution() -> None:
    """The noise is (1/n + 1/m) * chi-squared(9): mean 9 * (1/n + 1/m), 5% above 16.9 * (1/n + 1/m)."""
    rng, n, m = np.random.default_rng(3), 5000, 200
    draws = np.array([psi(rng.normal(size=n), rng.normal(size=m)) for _ in range(400)])
    assert draws.mean() == pytest.approx(9 * (1 / n + 1 / m), rel=0.15)
    assert np.mean(draws > 16.9 * (1 / n + 1 / m)) == pytest.approx(0.05, abs=0.04)


@pytest.mark.parametrize(("reference", "current"), [(0, 3), (3, 0)])
def test_psi_without_rows_raises(reference: int, current: int) -> None:
    with pytest.raises(ValueError, match="both need at least one"):
        psi(np.zeros(reference), np.zeros(current))


def test_measure_psi_by_column_sorts_by_psi() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(1000, 3))
    results = measure_psi_by_column(["still", "far", "near"], reference, reference + np.array([0, 2, 0.5]), {})
    assert [result.name for result in results] == ["far", "near", "still"]
    assert results[-1] == PsiResult("still", 0.0)


def test_measure_psi_p_value_is_uniform_without_drift() -> None:
    rng = np.random.default_rng(3)
    p = np.array([measure_psi("x", rng.normal(size=3000), rng.normal(size=400)).p_value for _ in range(300)])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(p) == pytest.approx(0.5, abs=0.07)
    assert measure_psi("x", rng.normal(size=3000), rng.normal(size=400) + 0.5).p_value < 1e-9


def test_psi_detects_shift_of_constant_reference() -> None:
    """The highest bin starts at the constant, so larger values need another bin."""
    constant = np.full(500, 3.0)
    assert psi(constant, constant[:200]) == 0
    assert psi(constant, constant + 2) > 1
    assert psi(constant, constant - 2) > 1
    assert measure_psi("x", constant, constant[:200]).p_value == 1
