"""Performance per cohort: measured on matured cohorts, estimated on the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.batch_scoring.outcomes import find_outcome_gap, is_mature, load_outcomes, maturity_time
from holdfast.batch_scoring.performance import compute_intervals, measure_performance
from holdfast.ingestion.history_extent import DataGap
from holdfast.models.label import LabelDefinition
from holdfast.monitoring.performance.cbpe import estimate_performance
from holdfast.monitoring.performance.cohort_notes import describe_hindsight, describe_open_outcomes, describe_too_few
from holdfast.monitoring.performance.cohorts import ScoredCohort
from holdfast.monitoring.settings import PerformanceRules
from holdfast.training.bootstrap import CustomerBootstrap, pr_auc_draws
from holdfast.training.evaluation_report import Interval
from holdfast.training.metrics import compute_metrics

_CohortStatus = Literal["measured", "estimated", "too few", "in hindsight"]


@dataclass(frozen=True)
class CohortPerformance:
    """Performance of one cohort.

    Attributes:
        status: "measured" if the cohort has matured, "estimated" before; "in hindsight" for a backfill by a version
            that was trained on later events than the cohort, whose performance means nothing and is not measured.
        matures_at: End of the cohort's last horizon.
        churned: Share of churned customers; None if unknown.
        metrics: Intervals of ``roc_auc``, ``pr_auc``, ``brier``, ``ece``, ``bias`` and ``earned``, where defined.
        outcomes: Churned or not, shape (rows of the cohort,), null for inactive customers; None before maturity.
    """

    cohort: ScoredCohort
    status: _CohortStatus
    matures_at: datetime
    customers: int
    churned: float | None = None
    metrics: dict[str, Interval] = field(default_factory=dict)
    note: str = ""
    outcomes: "pd.Series[bool] | None" = None


def evaluate_cohorts(
    settings: Settings,
    cohorts: Sequence[ScoredCohort],
    labels: Mapping[str, LabelDefinition],
    trained: Mapping[str, datetime],
    as_of: datetime,
    known_at: datetime,
    rules: PerformanceRules,
) -> list[CohortPerformance]:
    """Measure the matured cohorts, and estimate the performance of the others.

    A cohort is measured when its last horizon has closed. Before that, the only known outcomes are those of customers
    who bought again, so metrics of them would be biased.

    Args:
        settings: Settings with the data folder.
        cohorts: Scored cohorts.
        labels: Label of each version of the cohorts.
        trained: Time of the training by version.
        as_of: Time of the evaluation.
        known_at: Data that arrived later are ignored.
        rules: Limits and bootstrap settings.

    Returns:
        The performance of each cohort, in the same order.
    """
    matured: dict[LabelDefinition, list[ScoredCohort]] = {}
    for cohort in cohorts:
        label = labels[cohort.version]
        if is_mature(settings, label, cohort.as_of, as_of, known_at, cohort.ends_at):
            matured.setdefault(label, []).append(cohort)
    outcomes: dict[int, pd.Series] = {}
    for label, group in matured.items():
        rows = pd.concat([cohort.rows[[ENTITY_KEY, "cutoff"]] for cohort in group], ignore_index=True)
        churned, start = load_outcomes(settings, label, rows, known_at), 0
        for cohort in group:
            outcomes[id(cohort)] = churned.iloc[start : start + len(cohort.rows)].reset_index(drop=True)
            start += len(cohort.rows)
    return [
        _evaluate(
            cohort,
            maturity_time(labels[cohort.version], cohort.ends_at),
            outcomes.get(id(cohort)),
            find_outcome_gap(settings, labels[cohort.version], cohort.as_of, cohort.ends_at, as_of, known_at),
            trained,
            rules,
        )
        for cohort in cohorts
    ]


def _evaluate(
    cohort: ScoredCohort,
    matures_at: datetime,
    outcomes: "pd.Series[bool] | None",
    gap: DataGap | None,
    trained: Mapping[str, datetime],
    rules: PerformanceRules,
) -> CohortPerformance:
    rows = cohort.rows if outcomes is None else cohort.rows[outcomes.notna()]  # inactive customers have no outcome
    customers = int(rows[ENTITY_KEY].nunique())

    result = CohortPerformance(cohort, "measured", matures_at, customers, outcomes=outcomes)
    if note := describe_hindsight(trained, cohort.version, cohort.ends_at):
        return replace(result, status="in hindsight", note=note)
    if note := describe_too_few(customers, rules.min_rows):
        return replace(result, status="too few", note=note)
    scores, offered = rows["churn_probability"].to_numpy(np.float64), rows["offered"].to_numpy(np.float64)
    ids = rows[ENTITY_KEY].to_numpy()
    if outcomes is None:
        note = describe_open_outcomes(gap, matures_at)
        estimate = estimate_performance(scores, offered, ids, rules.value, rules.resamples, rules.seed)
        return replace(result, status="estimated", note=note, metrics=estimate)
    churned = outcomes.dropna().to_numpy(dtype=bool)
    bootstrap = CustomerBootstrap(ids, rules.resamples, rules.seed)
    drawn = measure_performance(churned, scores, offered == 1, rules.value, bootstrap)
    if np.isnan(offered).any():
        del drawn["earned"]
    if "roc_auc" in drawn:
        drawn["pr_auc"] = (compute_metrics(churned, scores)["pr_auc"], pr_auc_draws(churned, scores, bootstrap))
    note = "" if "roc_auc" in drawn else f"all customers {'churned' if churned.all() else 'stayed'}: no ranking metrics"
    return replace(result, note=note, churned=float(churned.mean()), metrics=compute_intervals(drawn))
