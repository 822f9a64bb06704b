"""Expected and observed spend of the cohorts whose horizon has closed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import numpy as np

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.batch_scoring.outcomes import find_outcome_gap, is_mature, load_spend, maturity_time
from holdfast.core.types import Floats
from holdfast.models.label import LabelDefinition
from holdfast.monitoring.performance.cohort_notes import describe_hindsight, describe_open_outcomes, describe_too_few
from holdfast.monitoring.settings import PerformanceRules
from holdfast.monitoring.spend.cohorts import SpendCohort
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.evaluation_report import Interval
from holdfast.training.regression.evaluation import decile_masks
from holdfast.training.regression.scores import deviance, mean_interval, measure_spend

GAIN = "deviance_saved"  # over the mean spend that was known at the training


@dataclass(frozen=True)
class Tenth:
    """Tenth of a cohort by expected spend: customers, mean expected and mean observed spend."""

    rows: int
    expected: float
    observed: float


@dataclass(frozen=True)
class SpendPerformance:
    """Performance of the spend model on one cohort.

    Attributes:
        status: "measured" if the horizon has closed, "open" before; "in hindsight" for a version that was trained on
            later events than the cohort.
        expected: Mean expected spend.
        observed: Mean observed spend; None before.
        metrics: Intervals of the metrics of a regression, and of ``GAIN``; those that are defined.
        tenths: Tenths by expected spend, lowest first.
    """

    cohort: SpendCohort
    status: Literal["measured", "open", "too few", "in hindsight"]
    matures_at: datetime
    customers: int
    expected: float
    observed: float | None = None
    metrics: dict[str, Interval] = field(default_factory=dict)
    tenths: list[Tenth] = field(default_factory=list)
    note: str = ""


def evaluate_spend_cohorts(
    settings: Settings,
    cohorts: Sequence[SpendCohort],
    labels: Mapping[str, LabelDefinition],
    known_means: Mapping[str, float],
    trained: Mapping[str, datetime],
    as_of: datetime,
    known_at: datetime,
    rules: PerformanceRules,
) -> list[SpendPerformance]:
    """Compare expected and observed spend of each cohort whose horizon has closed.

    Args:
        settings: Settings with the data folder.
        cohorts: Cohorts of the score tables.
        labels: Label of each version of the cohorts.
        known_means: Mean spend that was known at the training, by version: the baseline.
        trained: Time of the training by version.
        as_of: Time of the evaluation.
        known_at: Data that arrived later are ignored.
        rules: Limits and bootstrap settings.

    Returns:
        The performance of each cohort, in the same order.
    """
    return [
        _evaluate(settings, cohort, labels[cohort.version], known_means, trained, as_of, known_at, rules)
        for cohort in cohorts
    ]


def _evaluate(
    settings: Settings,
    cohort: SpendCohort,
    label: LabelDefinition,
    known_means: Mapping[str, float],
    trained: Mapping[str, datetime],
    as_of: datetime,
    known_at: datetime,
    rules: PerformanceRules,
) -> SpendPerformance:
    matures_at, expected = maturity_time(label, cohort.as_of), cohort.rows["expected_spend"].to_numpy(np.float64)
    result = SpendPerformance(cohort, "open", matures_at, len(expected), float(expected.mean()))
    if note := describe_hindsight(trained, cohort.version, cohort.as_of):
        return replace(result, status="in hindsight", note=note)
    if not is_mature(settings, label, cohort.as_of, as_of, known_at):
        gap = find_outcome_gap(settings, label, cohort.as_of, cohort.as_of, as_of, known_at)
        return replace(result, note=describe_open_outcomes(gap, matures_at))
    spend = load_spend(settings, label, cohort.rows[[ENTITY_KEY, "cutoff"]], known_at)
    known = ~np.isnan(spend)  # others were not active by the label of the spend
    customers = int(known.sum())
    if note := describe_too_few(customers, rules.min_rows):
        return replace(result, status="too few", note=note)
    bootstrap = CustomerBootstrap(cohort.rows[ENTITY_KEY].to_numpy()[known], rules.resamples, rules.seed)
    mean = known_means.get(cohort.version, float("nan"))
    return replace(
        result,
        status="measured",
        customers=customers,
        expected=float(expected[known].mean()),
        observed=float(spend[known].mean()),
        metrics=measure_cohort(spend[known], expected[known], mean, bootstrap),
        tenths=[
            Tenth(int(mask.sum()), float(expected[known][mask].mean()), float(spend[known][mask].mean()))
            for mask in decile_masks(expected[known])
        ],
    )


def measure_cohort(
    spend: Floats, expected: Floats, known_mean: float, bootstrap: CustomerBootstrap
) -> dict[str, Interval]:
    """Compute the metrics of a cohort.

    Args:
        spend: Observed spend, shape (customers,).
        expected: Expected spend, shape (customers,).
        known_mean: Mean spend that was known at the training; NaN if unknown, then that of the cohort.
        bootstrap: Resamples of the customers.

    Returns:
        Metric to interval, without those that are not finite; ``GAIN`` only with a known mean.
    """
    mean = known_mean if np.isfinite(known_mean) else float(spend.mean())
    found = measure_spend(spend, expected, mean, bootstrap)
    if np.isfinite(known_mean):
        baseline = deviance(spend, np.full(len(spend), known_mean), mean)
        found[GAIN] = mean_interval(baseline - deviance(spend, expected, mean), bootstrap)
    return {name: item for name, item in found.items() if np.isfinite([item.value, item.low, item.high]).all()}
