"""What is known of each cohort: measured where its outcomes are, expected where they are not yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.batch_scoring.outcomes import labels_known_until, load_outcomes, maturity_time
from holdfast.batch_scoring.performance import compute_intervals, measure_performance
from holdfast.monitoring.performance.cbpe import estimate_performance
from holdfast.monitoring.performance.cohorts import ScoredCohort
from holdfast.monitoring.settings import OutcomeRules
from holdfast.training.bootstrap import CustomerBootstrap, pr_auc_draws
from holdfast.training.evaluation_report import Interval
from holdfast.training.metrics import compute_metrics

CohortStatus = Literal["measured", "estimated", "too few", "in hindsight"]
METRIC_TITLES = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "brier": "Brier",
    "ece": "calibration error",
    "bias": "bias",
    "earned": "profit per customer",
}


@dataclass(frozen=True)
class CohortPerformance:
    """A cohort and its measures, as in ``MEASURES``; ``churned`` is the share that did, None where it is not known.

    ``outcomes``, (rows of the cohort,), says who did: null of who was not active, None where the cohort is not mature.
    "in hindsight": the version was trained on what happened after it scored, by a backfill; its quality there says
    nothing, and is not measured.
    """

    cohort: ScoredCohort
    status: CohortStatus
    matures_at: datetime
    customers: int
    churned: float | None = None
    measures: dict[str, Interval] = field(default_factory=dict)
    note: str = ""
    outcomes: "pd.Series[bool] | None" = None


def evaluate_cohorts(
    settings: Settings,
    cohorts: Sequence[ScoredCohort],
    trained: Mapping[str, datetime],
    as_of: datetime,
    known_at: datetime,
    rules: OutcomeRules,
) -> list[CohortPerformance]:
    """Each cohort as known at ``as_of`` from what had arrived by ``known_at``; ``trained``: version to its moment.

    A cohort is measured when its last horizon has closed. Before that, those of its customers are known who bought
    again, and none who churned: measures of the known ones would be biased.
    """
    until = labels_known_until(settings, as_of, known_at)
    mature = [cohort for cohort in cohorts if until is not None and maturity_time(settings, cohort.ends_at) <= until]
    churned: dict[int, pd.Series] = {}
    if mature:
        together = pd.concat([cohort.rows[[ENTITY_KEY, "cutoff"]] for cohort in mature], ignore_index=True)
        found, start = load_outcomes(settings, together, known_at), 0
        for cohort in mature:
            churned[id(cohort)] = found.iloc[start : start + len(cohort.rows)].reset_index(drop=True)
            start += len(cohort.rows)
    return [
        _quality(cohort, maturity_time(settings, cohort.ends_at), churned.get(id(cohort)), trained, rules)
        for cohort in cohorts
    ]


def _quality(
    cohort: ScoredCohort,
    matures: datetime,
    churned: "pd.Series[bool] | None",
    trained: Mapping[str, datetime],
    rules: OutcomeRules,
) -> CohortPerformance:
    rows = cohort.rows if churned is None else cohort.rows[churned.notna()]  # requests are for the inactive, too
    customers = int(rows[ENTITY_KEY].nunique())

    def told(status: CohortStatus, note: str = "", **known: object) -> CohortPerformance:
        return CohortPerformance(cohort, status, matures, customers, note=note, outcomes=churned, **known)  # type: ignore[arg-type]

    if (moment := trained.get(cohort.version)) is not None and cohort.ends_at < moment:
        return told("in hindsight", f"version {cohort.version} knew what happened up to {moment:%Y-%m-%d}")
    if customers < rules.min_rows:
        return told("too few", f"{customers} customers are too few to measure: it takes {rules.min_rows}")
    scores, offered = rows["churn_probability"].to_numpy(np.float64), rows["offered"].to_numpy(np.float64)
    if churned is None:
        customers_of_rows = rows[ENTITY_KEY].to_numpy()
        known = estimate_performance(scores, offered, customers_of_rows, rules.value, rules.resamples, rules.seed)
        return told("estimated", f"matures on {matures:%Y-%m-%d}", measures=known)
    outcome = churned.dropna().to_numpy(dtype=bool)
    bootstrap = CustomerBootstrap(rows[ENTITY_KEY].to_numpy(), rules.resamples, rules.seed)
    drawn = measure_performance(outcome, scores, offered == 1, rules.value, bootstrap)
    if np.isnan(offered).any():
        del drawn["earned"]
    if "roc_auc" in drawn:
        drawn["pr_auc"] = (compute_metrics(outcome, scores)["pr_auc"], pr_auc_draws(outcome, scores, bootstrap))
    note = "" if "roc_auc" in drawn else f"all of them {'churned' if outcome.all() else 'stayed'}: nothing to rank"
    return told("measured", note, churned=float(outcome.mean()), measures=compute_intervals(drawn))
