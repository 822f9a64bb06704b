"""Findings and metric rows of the spend view."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.batch_scoring.spend_model import SPEND
from holdfast.core.formatting import format_count
from holdfast.monitoring.drift.psi import SCORE
from holdfast.monitoring.drift.rule import FeatureDrift
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.settings import DriftRules
from holdfast.monitoring.spend.performance import GAIN, SpendPerformance
from holdfast.training.evaluation_report import Interval
from holdfast.training.regression.report import RegressionEvaluation
from holdfast.training.regression.scores import SPEND_METRIC_LABELS

DRIFT_SUBJECT = f"{SPEND}.{SCORE}"
_LABELS = SPEND_METRIC_LABELS | {GAIN: "Tweedie deviance saved over the mean spend"}


@dataclass(frozen=True)
class ExpectedRange:
    """Range of a metric in the test of a version; None for a side that is not checked."""

    low: float | None = None
    high: float | None = None

    def excludes(self, measured: Interval) -> bool:
        """Check whether a measured interval lies outside the range.

        Args:
            measured: Interval of a cohort.

        Returns:
            True if no value of the interval is in the range.
        """
        below = self.low is not None and measured.high < self.low
        return below or (self.high is not None and measured.low > self.high)

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low:.3f} or more"
        return f"up to {self.high:.3f}" if self.low is None else f"{self.low:.3f} to {self.high:.3f}"


def expected_ranges(test: RegressionEvaluation) -> dict[str, ExpectedRange]:
    """Derive the checked ranges from the test of a version.

    The rank correlation may be as low as the end of its test interval. The total may be off by the largest factor that
    the intervals of the test months reach, in both directions: the level of the spend moves between months, and a few
    test months show how far, not which way. The deviance depends on that level, and is compared with that of the mean
    spend instead.

    Args:
        test: Evaluation of the version.

    Returns:
        Metric to its range.
    """
    totals = [end for month in test.months for end in (month.total.low, month.total.high) if 0 < end < math.inf]
    factor = max([1.0, *(max(total, 1 / total) for total in totals)])
    return {
        "spearman": ExpectedRange(low=test.metrics["model"]["spearman"].low),
        "total": ExpectedRange(1 / factor, factor),
        GAIN: ExpectedRange(low=0.0),
    }


def find_latest(performance: Sequence[SpendPerformance], champion: str | None) -> SpendPerformance | None:
    """Find the champion's latest measured cohort.

    Args:
        performance: Performance of all cohorts.
        champion: Version of the champion.

    Returns:
        The cohort, or None.
    """
    measured = [item for item in performance if item.status == "measured" and item.cohort.version == champion]
    return max(measured, key=lambda item: item.cohort.as_of, default=None)


def quality_subject(version: str) -> str:
    """Return the subject of findings about the performance of a version.

    Args:
        version: Version number.

    Returns:
        The subject, with the name of the model.
    """
    return f"{SPEND}.version-{version}"


def find_quality_drop(latest: SpendPerformance | None, ranges: Mapping[str, ExpectedRange]) -> list[Finding]:
    """Compare the champion's latest measured cohort with its test.

    Args:
        latest: The cohort.
        ranges: Metric to the range in the test.

    Returns:
        At most one finding.
    """
    if latest is None:
        return []
    outside = _outside(latest.metrics, ranges)
    if not outside:
        return []
    version = latest.cohort.version
    texts = describe_outside(latest.metrics, ranges)
    payload = {
        "model": SPEND,
        "version": version,
        "cohort": latest.cohort.name,
        "rows": latest.customers,
        "metrics": {name: latest.metrics[name].model_dump() for name in outside},
    }
    summary = (
        f"Spend model version {version} is worse than in its test on the {format_count(latest.customers, 'customer')} "
        f"of cohort {latest.cohort.name}: {'; '.join(texts)}."
    )
    return [
        Finding(
            event="holdfast.quality.dropped",
            severity="warning",
            subject=quality_subject(version),
            summary=summary,
            payload=payload,
        )
    ]


def find_drift(drift: FeatureDrift | None, rules: DriftRules) -> list[Finding]:
    """Build the finding of drifted predictions.

    Args:
        drift: Drift of the expected spend.
        rules: Limits.

    Returns:
        At most one finding.
    """
    if drift is None or not drift.drifted:
        return []
    summary = (
        f"The expected spend of {format_count(drift.rows, 'customer')} has drifted from both references of spend model "
        f"version {drift.version}: PSI {drift.vs_training.psi:.2f} vs. its test rows, "
        f"{drift.vs_training_population.psi:.2f} vs. its first scores (limit {rules.max_psi:g})."
    )
    payload = {"model": SPEND, "version": drift.version, "psi": drift.psi, "limit": rules.max_psi, "rows": drift.rows}
    return [
        Finding(
            event="holdfast.drift.detected", severity="warning", subject=DRIFT_SUBJECT, summary=summary, payload=payload
        )
    ]


def build_spend_metrics(
    performance: Sequence[SpendPerformance],
    latest: SpendPerformance | None,
    ranges: Mapping[str, ExpectedRange],
    drift: FeatureDrift | None,
    rules: DriftRules,
) -> list[MetricRow]:
    """Build a row per cohort and metric, the tenths of the latest cohort, and the drift.

    Only the latest cohort of the champion may be breached, as in the performance view.

    Args:
        performance: Performance of all cohorts.
        latest: The champion's latest measured cohort.
        ranges: Metric to the range in the test of the champion.
        drift: Drift of the expected spend.
        rules: Limits of the drift.

    Returns:
        The metric rows.
    """
    measured = [item for item in performance if item.status == "measured"]
    rows = [MetricRow("mature_cohorts", "all", float(len(measured)), sum(item.customers for item in measured))]
    for item in performance:
        name, version, customers = item.cohort.name, item.cohort.version, item.customers
        outside = _outside(item.metrics, ranges) if item is latest else []
        rows.append(MetricRow("expected", name, item.expected, customers, version))
        if item.observed is not None:
            rows.append(MetricRow("observed", name, item.observed, customers, version))
        for metric, interval in item.metrics.items():
            limits = ranges.get(metric, ExpectedRange()) if item is latest else ExpectedRange()
            limit = limits.low if limits.high is None else limits.high
            ends, breached = (interval.low, interval.high), metric in outside
            rows.append(MetricRow(metric, name, interval.value, customers, version, *ends, limit, breached))
    for number, tenth in enumerate(latest.tenths if latest else [], start=1):
        assert latest is not None
        subject, version = f"{latest.cohort.name} tenth {number}", latest.cohort.version
        rows.append(MetricRow("expected", subject, tenth.expected, tenth.rows, version))
        rows.append(MetricRow("observed", subject, tenth.observed, tenth.rows, version))
    if drift is not None:
        limit, drifted = rules.max_psi, drift.drifted
        rows.append(
            MetricRow("psi", DRIFT_SUBJECT, drift.psi, drift.rows, drift.version, limit=limit, breached=drifted)
        )
    return rows


def describe_outside(metrics: Mapping[str, Interval], ranges: Mapping[str, ExpectedRange]) -> list[str]:
    """Describe the metrics that are outside the ranges of the test.

    Args:
        metrics: Intervals of a cohort.
        ranges: Metric to the range in the test.

    Returns:
        A phrase per metric.
    """
    return [f"{_LABELS[name]} {metrics[name]}, expected {ranges[name]}" for name in _outside(metrics, ranges)]


def _outside(metrics: Mapping[str, Interval], ranges: Mapping[str, ExpectedRange]) -> list[str]:
    return [name for name, limits in ranges.items() if name in metrics and limits.excludes(metrics[name])]
