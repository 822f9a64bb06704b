"""Significant degradation of a model's performance compared with its test."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.training.evaluation_report import METRIC_LABELS, Interval

# Checked metrics.
HIGHER_IS_BETTER = {"roc_auc": True, "brier": False}


@dataclass(frozen=True)
class Degradation:
    """Metric that is significantly worse than in the version's test."""

    metric: str
    measured: Interval
    expected: Interval

    def __str__(self) -> str:
        return f"{METRIC_LABELS[self.metric]} {self.measured}, expected {self.expected}"


def find_degradations(measured: Mapping[str, Interval], expected: Mapping[str, Interval]) -> list[Degradation]:
    """Find the metrics whose measured 95% interval is worse than the expected one and does not overlap it.

    Of two equal means with equal precision, one is called worse in about 3 of 1,000 cases. A metric that either side
    lacks, or has no interval for, is not checked.

    Args:
        measured: Intervals of a cohort, by metric.
        expected: Intervals of the version's test, by metric.

    Returns:
        The degraded metrics.
    """
    return [
        Degradation(metric, measured[metric], expected[metric])
        for metric, higher_is_better in HIGHER_IS_BETTER.items()
        if metric in measured
        and metric in expected
        and _is_significant(measured[metric], expected[metric], higher_is_better)
    ]


def _is_significant(measured: Interval, expected: Interval, higher_is_better: bool) -> bool:
    return measured.high < expected.low if higher_is_better else measured.low > expected.high
