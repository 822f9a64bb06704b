"""Surely worse than promised: on the bad side, and the intervals do not touch."""

import numpy as np
import pytest

from holdfast.monitoring.performance.degradation import find_degradations
from holdfast.training.evaluation_report import Interval


def _interval(low: float, high: float) -> Interval:
    return Interval(value=(low + high) / 2, low=low, high=high)


@pytest.mark.parametrize(
    ("metric", "low", "high", "worse"),
    [
        ("roc_auc", 0.60, 0.69, True),
        ("roc_auc", 0.60, 0.70, False),  # they touch
        ("roc_auc", 0.85, 0.90, False),  # better
        ("brier", 0.81, 0.90, True),
        ("brier", 0.50, 0.60, False),
        ("ece", 0.0, 0.1, False),  # does not decide
        ("roc_auc", float("nan"), float("nan"), False),
    ],
)
def test_worse(metric: str, low: float, high: float, worse: bool) -> None:
    promised = {name: _interval(0.7, 0.8) for name in ("roc_auc", "brier", "ece")}
    found = find_degradations({metric: _interval(low, high)}, promised)
    assert [drop.metric for drop in found] == ([metric] if worse else [])


def test_what_was_not_promised_is_not_judged() -> None:
    assert not find_degradations({"roc_auc": _interval(0.1, 0.2)}, {})


def test_of_what_is_equal_few_are_called_worse() -> None:
    """About 3 in 1,000 on the bad side."""
    rng = np.random.default_rng(0)
    means = rng.normal(0, 1, (20_000, 2))
    called = (means[:, 0] + 1.96 < means[:, 1] - 1.96).mean()
    assert called == pytest.approx(0.0028, abs=0.0015)


def test_it_is_told_with_both_intervals() -> None:
    (drop,) = find_degradations({"roc_auc": _interval(0.6, 0.65)}, {"roc_auc": _interval(0.7, 0.8)})
    assert str(drop) == "ROC-AUC 0.625 (0.600 to 0.650), promised 0.750 (0.700 to 0.800)"
