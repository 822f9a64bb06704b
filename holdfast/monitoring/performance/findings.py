"""Findings, table rows, metric rows and Evidently report of the performance view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from holdfast.core.formatting import format_count
from holdfast.models.contract import MODEL_NAME
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.training.evaluation_report import METRIC_LABELS, Interval

if TYPE_CHECKING:
    from evidently.core.report import Snapshot as EvidentlyReport

    from holdfast.monitoring.performance.cohort_performance import CohortPerformance

_TABLE_METRICS = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "brier": "Brier",
    "ece": "calibration error",
    "bias": "bias",
    "earned": "profit per customer",
}
_HIGHER_IS_BETTER = {"roc_auc": True, "brier": False}  # checked metrics, and bias in both directions


@dataclass(frozen=True)
class Degradation:
    """Metric that is significantly worse than in the version's test."""

    metric: str
    measured: Interval
    expected: Interval

    def __str__(self) -> str:
        return f"{METRIC_LABELS.get(self.metric, self.metric)} {self.measured}, expected {self.expected}"


def find_degradations(measured: Mapping[str, Interval], expected: Mapping[str, Interval]) -> list[Degradation]:
    """Find the metrics whose measured 95% interval is worse than the expected one and does not overlap it.

    The bias is checked where a bias is expected: of a version whose level could not be known.

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
        for metric in (*_HIGHER_IS_BETTER, "bias")
        if metric in measured and metric in expected and _is_worse(metric, measured[metric], expected[metric])
    ]


def _is_worse(metric: str, measured: Interval, expected: Interval) -> bool:
    below, above = measured.high < expected.low, measured.low > expected.high
    return below or above if metric == "bias" else below if _HIGHER_IS_BETTER[metric] else above


def degradation_findings(
    cohorts: Sequence["CohortPerformance"], champion: str, expected: Mapping[str, Interval]
) -> list[Finding]:
    """Compare the champion's latest matured cohorts with its test.

    Args:
        cohorts: Performance of all cohorts.
        champion: Version of the champion.
        expected: Metrics of the champion's test.

    Returns:
        At most one finding: score tables before requests.
    """
    for cohort in _latest_champion_cohorts(cohorts, champion):
        if degradations := find_degradations(cohort.metrics, expected):
            return [_finding(cohort, champion, degradations)]
    return []


def build_cohort_metrics(
    cohorts: Sequence["CohortPerformance"], champion: str | None, expected: Mapping[str, Interval]
) -> list[MetricRow]:
    """Build a row per cohort and metric, and a row with the share of churned customers.

    Only the latest cohorts of the champion may be breached: an older degradation stays in the table as long as its
    cohort, and must not trigger another training.

    Args:
        cohorts: Performance of all cohorts.
        champion: Version of the champion; None without a champion.
        expected: Metrics of the champion's test.

    Returns:
        The metric rows.
    """
    latest = {id(cohort) for cohort in _latest_champion_cohorts(cohorts, champion)}
    measured = [cohort for cohort in cohorts if cohort.status == "measured"]
    rows = [MetricRow("mature_cohorts", "all", float(len(measured)), sum(cohort.customers for cohort in measured))]
    for item in cohorts:
        name, version = item.cohort.name, item.cohort.version
        degradations = find_degradations(item.metrics, expected) if id(item) in latest else []
        degraded = {degradation.metric for degradation in degradations}
        for metric, interval in item.metrics.items():
            rows.append(
                MetricRow(
                    metric, name, interval.value, item.customers, version, interval.low, interval.high,
                    limit=_limit(metric, expected) if version == champion else None,
                    breached=metric in degraded, estimated=item.status == "estimated",
                )
            )  # fmt: skip
        if item.churned is not None:
            rows.append(MetricRow("churned", name, item.churned, item.customers, version))
    return rows


def build_cohort_table(cohorts: Sequence["CohortPerformance"]) -> list[dict[str, Any]]:
    """Build the table for the Prefect UI.

    Args:
        cohorts: Performance of all cohorts.

    Returns:
        One row per cohort, latest first, with estimates marked.
    """
    rows = []
    for item in sorted(cohorts, key=lambda item: (item.cohort.as_of, item.cohort.source), reverse=True):
        row: dict[str, Any] = {
            "cohort": item.cohort.name,
            "version": item.cohort.version,
            "customers": item.customers,
            "known": "estimate" if item.status == "estimated" else item.status,
            "churned": "" if item.churned is None else f"{item.churned:.1%}",
        }
        row |= {
            title: str(item.metrics[name]) if name in item.metrics else "" for name, title in _TABLE_METRICS.items()
        }
        rows.append(row | {"note": item.note})
    return rows


def summarize_cohorts(cohorts: Sequence["CohortPerformance"], as_of: datetime) -> str:
    """Summarize the cohorts in one sentence.

    Args:
        cohorts: Performance of all cohorts.
        as_of: End of the window.

    Returns:
        Number of cohorts by status, and the next maturity date.
    """
    if not cohorts:
        return "No customer was scored: there is no cohort to measure."
    counts = {status: sum(item.status == status for item in cohorts) for status in {item.status for item in cohorts}}
    parts = [f"{count} {status}" for status, count in sorted(counts.items(), key=lambda pair: -pair[1])]
    maturity = [item.matures_at for item in cohorts if item.status == "estimated" and item.matures_at > as_of]
    next_maturity = f"; the next matures on {min(maturity):%Y-%m-%d}" if maturity else ""
    return f"{len(cohorts)} cohorts: {', '.join(parts)}{next_maturity}"


def classification_report(current: "CohortPerformance", test: pd.DataFrame | None) -> "EvidentlyReport | None":
    """Build Evidently's report of a matured cohort, compared with the test of its version.

    Args:
        current: Performance of the cohort.
        test: Test predictions with columns churned and churn_probability; None if unknown.

    Returns:
        The report; None if a side has one class only.
    """
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationQuality

    assert current.outcomes is not None  # matured
    rows = current.cohort.rows.assign(churned=current.outcomes.to_numpy())
    cohort = rows[current.outcomes.notna().to_numpy()][["churned", "churn_probability"]]
    frames = [cohort] if test is None else [cohort, test[["churned", "churn_probability"]]]
    if any(frame["churned"].nunique() < 2 for frame in frames):
        return None
    definition = DataDefinition(
        classification=[BinaryClassification(target="churned", prediction_probas="churn_probability", pos_label=1)]
    )
    datasets = [
        Dataset.from_pandas(frame.astype({"churned": np.int64}).reset_index(drop=True), definition) for frame in frames
    ]
    metadata = {"view": "outcome", "cohort": current.cohort.name, "version": current.cohort.version}
    return Report([ClassificationQuality()], metadata=metadata, include_tests=True).run(*datasets)


def _latest_champion_cohorts(cohorts: Sequence["CohortPerformance"], champion: str | None) -> list["CohortPerformance"]:
    """Select the champion's latest matured cohort of score tables, and of requests."""
    measured = [item for item in cohorts if item.status == "measured" and item.cohort.version == champion]
    latest = {item.cohort.source: item for item in sorted(measured, key=lambda item: item.cohort.as_of)}
    return [latest[source] for source in ("scores", "requests") if source in latest]


def _finding(latest: "CohortPerformance", champion: str, degradations: Sequence[Degradation]) -> Finding:
    metrics = [
        {"metric": item.metric, "measured": item.measured.model_dump(), "expected": item.expected.model_dump()}
        for item in degradations
    ]
    return Finding(
        event="holdfast.quality.dropped",
        severity="critical",
        subject=f"version-{champion}",
        summary=f"{MODEL_NAME} version {champion} is worse than in its test on the "
        f"{format_count(latest.customers, 'customer')} of cohort {latest.cohort.name}: "
        f"{'; '.join(map(str, degradations))}.",
        payload={
            "version": champion,
            "cohort": latest.cohort.name,
            "rows": latest.customers,
            **metrics[0],
            "all": metrics,
        },
    )


def _limit(metric: str, expected: Mapping[str, Interval]) -> float | None:
    """Return the worse bound of a checked metric's expected interval; of the bias the largest distance from zero."""
    if metric not in (*_HIGHER_IS_BETTER, "bias") or metric not in expected:
        return None
    if metric == "bias":
        return expected[metric].high
    return expected[metric].low if _HIGHER_IS_BETTER[metric] else expected[metric].high
