"""Outcomes in words: findings, the table that people read, rows of the metrics table, and Evidently's report."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.performance.cohort_performance import METRIC_TITLES, CohortPerformance
from holdfast.monitoring.performance.cohorts import CohortSource
from holdfast.monitoring.performance.degradation import HIGHER_IS_BETTER, Degradation, find_degradations
from holdfast.training.evaluation_report import Interval

if TYPE_CHECKING:
    from evidently.core.report import Snapshot


def latest_champion_cohorts(known: Sequence[CohortPerformance], champion: str | None) -> list[CohortPerformance]:
    """The cohorts that the champion answers for: the latest mature one of scores, and of requests."""
    measured = [item for item in known if item.status == "measured" and item.cohort.version == champion]
    latest = {item.cohort.source: item for item in sorted(measured, key=lambda item: item.cohort.as_of)}
    return [latest[source] for source in get_args(CohortSource) if source in latest]


def degradation_findings(
    known: Sequence[CohortPerformance], champion: str, promised: Mapping[str, Interval]
) -> list[Finding]:
    """Whether the champion is surely worse there than promised; one finding is enough."""
    found = [(item, find_degradations(item.measures, promised)) for item in latest_champion_cohorts(known, champion)]
    return [_finding(item, champion, worse) for item, worse in found if worse][:1]


def build_metric_rows(
    known: Sequence[CohortPerformance], champion: str | None, promised: Mapping[str, Interval]
) -> list[MetricRow]:
    """A row per cohort and measure, and the share that churned; ``breached`` is what dropped, of the latest only.

    What was bad once stays in the table for as long as its cohort does: it is no reason to train again.
    """
    latest = latest_champion_cohorts(known, champion)
    measured = [item for item in known if item.status == "measured"]
    rows = [MetricRow("mature_cohorts", "all", float(len(measured)), sum(item.customers for item in measured))]
    for item in known:
        name, version, of_champion = item.cohort.name, item.cohort.version, item.cohort.version == champion
        estimated = item.status == "estimated"
        worse = (
            {drop.metric for drop in find_degradations(item.measures, promised)}
            if any(item is one for one in latest)
            else set()
        )
        for metric, found in item.measures.items():
            rows.append(
                MetricRow(
                    metric, name, found.value, item.customers, version, found.low, found.high,
                    limit=_limit(metric, promised) if of_champion else None,
                    breached=metric in worse, estimated=estimated,
                )
            )  # fmt: skip
        if item.churned is not None:
            rows.append(MetricRow("churned", name, item.churned, item.customers, version))
    return rows


def build_table(known: Sequence[CohortPerformance]) -> list[dict[str, Any]]:
    """A row per cohort, latest first; an estimate is marked as one."""
    rows = []
    for item in sorted(known, key=lambda item: (item.cohort.as_of, item.cohort.source), reverse=True):
        row: dict[str, Any] = {
            "cohort": item.cohort.name,
            "version": item.cohort.version,
            "customers": item.customers,
            "known": "estimate" if item.status == "estimated" else item.status,
            "churned": "" if item.churned is None else f"{item.churned:.1%}",
        }
        row |= {
            title: str(item.measures[name]) if name in item.measures else "" for name, title in METRIC_TITLES.items()
        }
        rows.append(row | {"note": item.note})
    return rows


def summarize_cohorts(known: Sequence[CohortPerformance], as_of: datetime) -> str:
    """In one sentence."""
    if not known:
        return "Nobody was scored yet: no cohort to measure."
    count = {status: sum(item.status == status for item in known) for status in {item.status for item in known}}
    told = [f"{number} {status}" for status, number in sorted(count.items(), key=lambda pair: -pair[1])]
    said = f"{len(known)} cohorts: {', '.join(told)}"
    waiting = [item.matures_at for item in known if item.status == "estimated" and item.matures_at > as_of]
    return said + (f"; the next matures on {min(waiting):%Y-%m-%d}" if waiting else "")


def classification_report(current: CohortPerformance, test: pd.DataFrame | None) -> "Snapshot | None":
    """Evidently's report of a mature cohort, beside the test of its version; None of one class.

    ``test`` has churned and churn_probability, None where it is not known.
    """
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationQuality

    assert current.outcomes is not None  # it is mature
    rows = current.cohort.rows.assign(churned=current.outcomes.to_numpy())
    frame = rows[current.outcomes.notna().to_numpy()][["churned", "churn_probability"]]
    frames = [frame] if test is None else [frame, test[["churned", "churn_probability"]]]
    if any(part["churned"].nunique() < 2 for part in frames):
        return None
    definition = DataDefinition(
        classification=[BinaryClassification(target="churned", prediction_probas="churn_probability", pos_label=1)]
    )
    sets = [
        Dataset.from_pandas(part.astype({"churned": np.int64}).reset_index(drop=True), definition) for part in frames
    ]
    metadata = {"view": "outcome", "cohort": current.cohort.name, "version": current.cohort.version}
    return Report([ClassificationQuality()], metadata=metadata, include_tests=True).run(*sets)


def _finding(latest: CohortPerformance, champion: str, worse: Sequence[Degradation]) -> Finding:
    told = [
        {"metric": drop.metric, "found": drop.found.model_dump(), "promised": drop.promised.model_dump()}
        for drop in worse
    ]
    return Finding(
        event="holdfast.quality.dropped",
        severity="critical",
        subject=f"version-{champion}",
        summary=f"Version {champion} is worse than its test promised on the {latest.customers:,} customers of cohort "
        f"{latest.cohort.name}: {'; '.join(map(str, worse))}.",
        payload={"version": champion, "cohort": latest.cohort.name, "rows": latest.customers, **told[0], "all": told},
    )


def _limit(metric: str, promised: Mapping[str, Interval]) -> float | None:
    if metric not in HIGHER_IS_BETTER or metric not in promised:
        return None
    return promised[metric].low if HIGHER_IS_BETTER[metric] else promised[metric].high
