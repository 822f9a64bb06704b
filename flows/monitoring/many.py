"""Judging many tests at once without more false alarms than one test gives."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which of the tests hold when all are looked at: at most ``alpha`` is the chance of any false one.

    The smallest p-value is held against alpha / tests, the next against alpha / (tests - 1), and so on up to the first
    that fails (Holm, *A simple sequentially rejective multiple test procedure*, 1979). The tests may depend on each
    other, as the features of one customer do.
    """
    held = [False] * len(p_values)
    for place, number in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[number] > alpha / (len(p_values) - place):
            break
        held[number] = True
    return held
