"""Degradation: the measured interval is on the worse side of the expected one, without overlap."""

import numpy as np
import pytest

from holdfast.monitoring.performance.findings import find_degradations
from holdfast.training.evaluation_report import Interval


def _interval(low: float, high: float) -> Interval:
    return Interval(value=(low + high) / 2, low=low, high=high)


@pytest.mark.parametrize(
    ("metric", "low", "high", "is_degraded"),
    [
        ("roc_auc", 0.60, 0.69, True),
        ("roc_auc", 0.60, 0.70, False),  # the intervals touch
        ("roc_auc", 0.85, 0.90, False),  # better
        ("brier", 0.81, 0.90, True),
        ("brier", 0.50, 0.60, False),
        ("ece", 0.0, 0.1, False),  # not checked
        ("roc_auc", float("nan"), float("nan"), False),
    ],
)
def test_find_degradations_needs_disjoint_worse_interval(
    metric: str, low: float, high: float, is_degraded: bool
) -> None:
    expected = {name: _interval(0.7, 0.8) for name in ("roc_auc", "brier", "ece")}
    degradations = find_degradations({metric: _interval(low, high)}, expected)
    assert [degradation.metric for degradation in degradations] == ([metric] if is_degraded else [])


def test_find_degradations_without_expected_metric_is_empty() -> None:
    assert not find_degradations({"roc_auc": _interval(0.1, 0.2)}, {})


def test_find_degradations_false_positive_rate_is_3_per_1000() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(0, 1, (20_000, 2))
    called = (means[:, 0] + 1.96 < means[:, 1] - 1.96).mean()
    assert called == pytest.approx(0.0028, abs=0.0015)


def test_degradation_text_has_both_intervals() -> None:
    (degradation,) = find_degradations({"roc_auc": _interval(0.6, 0.65)}, {"roc_auc": _interval(0.7, 0.8)})
    assert str(degradation) == "ROC-AUC 0.625 (0.600 to 0.650), expected 0.750 (0.700 to 0.800)"
