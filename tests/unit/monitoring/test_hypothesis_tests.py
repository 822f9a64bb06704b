"""Holm's correction: by hand, and as the closed test that it is a short cut for."""

from itertools import combinations

import numpy as np

from holdfast.monitoring.hypothesis_tests import holm


def test_by_hand() -> None:
    """Of four at 0.05: 0.0125, 0.0167, 0.025, 0.05."""
    assert holm([0.04, 0.012, 0.016, 0.03], 0.05) == [False, True, True, False]
    assert holm([0.013, 0.0001, 0.9, 0.9], 0.05) == [True, True, False, False]
    assert holm([], 0.05) == []


def closed(p_values: list[float], alpha: float) -> list[bool]:
    """A test holds if Bonferroni's holds for every group of tests that it is in (Marcus, Peritz and Gabriel, 1976)."""
    tests = range(len(p_values))
    groups = [group for size in range(1, len(p_values) + 1) for group in combinations(tests, size)]
    sure = {group: min(p_values[i] for i in group) <= alpha / len(group) for group in groups}
    return [all(sure[group] for group in groups if i in group) for i in tests]


def test_it_is_the_closed_test() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        p_values = rng.beta(0.2, 2, int(rng.integers(1, 7))).tolist()
        assert holm(p_values, 0.05) == closed(p_values, 0.05)
