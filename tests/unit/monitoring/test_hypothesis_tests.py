"""Holm-Bonferroni correction, and Fisher's exact test."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from holdfast.monitoring.hypothesis_tests import fisher_exact_greater, holm


def test_holm_compares_with_stepwise_limits() -> None:
    """The limits of four tests at 0.05 are 0.0125, 0.0167, 0.025 and 0.05."""
    assert holm([0.04, 0.012, 0.016, 0.03], 0.05) == [False, True, True, False]
    assert holm([0.013, 0.0001, 0.9, 0.9], 0.05) == [True, True, False, False]
    assert holm([], 0.05) == []


def closed_test(p_values: list[float], alpha: float) -> list[bool]:
    """Reject a test if Bonferroni rejects every group of tests with it (Marcus, Peritz and Gabriel, 1976)."""
    tests = range(len(p_values))
    groups = [group for size in range(1, len(p_values) + 1) for group in combinations(tests, size)]
    rejected = {group: min(p_values[i] for i in group) <= alpha / len(group) for group in groups}
    return [all(rejected[group] for group in groups if i in group) for i in tests]


def test_holm_equals_closed_test() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        p_values = rng.beta(0.2, 2, int(rng.integers(1, 7))).tolist()
        assert holm(p_values, 0.05) == closed_test(p_values, 0.05)


@pytest.mark.parametrize(
    "counts", [(0, 50, 0, 900), (50, 50, 900, 900), (7, 50, 30, 900), (0, 50, 30, 900), (3, 3, 0, 9)]
)
def test_fisher_exact_greater_equals_hypergeometric_tail(counts: tuple[int, int, int, int]) -> None:
    count, rows, count_before, rows_before = counts
    tail = stats.hypergeom.sf(count - 1, rows + rows_before, count + count_before, rows)
    assert fisher_exact_greater(*counts) == pytest.approx(tail, rel=1e-12)
