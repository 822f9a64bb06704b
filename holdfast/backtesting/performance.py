"""Performance of each policy by cohort and on average, with bootstrap intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from holdfast.backtesting.model_kinds import CLASSIFICATION, BacktestKind
from holdfast.backtesting.policies import Policy
from holdfast.backtesting.results import CohortMeans, CohortOutcome, PolicyDifference
from holdfast.batch_scoring.performance import MetricDraws, compute_intervals
from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.settings import TrainingSettings


@dataclass(frozen=True)
class MaturedCohort:
    """Customers scored at ``as_of``, sorted by id; ``outcomes``, churned or the spend, have shape (customers,)."""

    as_of: datetime
    matured_at: datetime
    customers: list[str]
    outcomes: Bools | Floats


@dataclass(frozen=True)
class PolicyPerformance:
    """Measures of one policy on one cohort: value, and bootstrap draws of shape (resamples,)."""

    cohort: MaturedCohort
    drawn: MetricDraws

    def outcome(self) -> CohortOutcome:
        """Summarize the measures.

        Returns:
            Values with 95% intervals.
        """
        cohort = self.cohort
        return CohortOutcome(
            as_of=cohort.as_of,
            matured_at=cohort.matured_at,
            customers=len(cohort.customers),
            base_rate=float(cohort.outcomes.mean()),
            measures=compute_intervals(self.drawn),
        )


def evaluate_policies(
    cohorts: Sequence[MaturedCohort],
    scored: Mapping[Policy, Mapping[datetime, pd.DataFrame]],
    training: TrainingSettings,
    kind: BacktestKind = CLASSIFICATION,
) -> dict[Policy, list[PolicyPerformance]]:
    """Measure each policy on each matured cohort that it scored.

    All policies are measured on the same resamples of customers, so that their differences have intervals, too.

    Args:
        cohorts: Matured cohorts.
        scored: Table by policy and time, as in ``holdfast.batch_scoring.scores_table.ScoresSchema``.
        training: Gives profit assumptions, and number and seed of the resamples.
        kind: Functions of the model's kind.

    Returns:
        Performance by policy, one per cohort.

    Raises:
        RuntimeError: Two policies scored different customers at one time.
    """
    everyone = CustomerBootstrap(
        [customer for cohort in cohorts for customer in cohort.customers], training.resamples, training.seed
    )
    performances: dict[Policy, list[PolicyPerformance]] = {policy: [] for policy in scored}
    for cohort, resamples in zip(cohorts, _split_by_cohort(cohorts, everyone), strict=True):
        for policy, tables in scored.items():
            if (table := tables.get(cohort.as_of)) is None:
                continue
            table = table[table[ENTITY_KEY].isin(cohort.customers)]  # of the others the outcome is unknown
            if table[ENTITY_KEY].tolist() != cohort.customers:
                raise RuntimeError(f"Policy {policy} scored other customers at {cohort.as_of:%Y-%m-%d} than the rest.")
            drawn = kind.measure(cohort.outcomes.astype(np.float64), table, training, resamples)
            performances[policy].append(PolicyPerformance(cohort, drawn))
    return performances


def compute_means(performances: Sequence[PolicyPerformance]) -> CohortMeans | None:
    """Average a policy over its cohorts.

    Args:
        performances: Performance on each cohort.

    Returns:
        The means; None without a cohort.
    """
    if not performances:
        return None
    rows = sum(len(item.cohort.customers) for item in performances)
    return CohortMeans(cohorts=len(performances), rows=rows, measures=compute_intervals(_mean(performances)))


def compute_difference(
    left: Sequence[PolicyPerformance], right: Sequence[PolicyPerformance]
) -> PolicyDifference | None:
    """Subtract the means of two policies on the cohorts that both scored.

    Args:
        left: Performance of the first policy.
        right: Performance of the second policy, which is subtracted.

    Returns:
        The difference; None without a common cohort.
    """
    shared = {item.cohort.as_of for item in left} & {item.cohort.as_of for item in right}
    if not shared:
        return None
    first, second = (_mean([item for item in side if item.cohort.as_of in shared]) for side in (left, right))
    drawn = {
        name: (first[name][0] - second[name][0], first[name][1] - second[name][1]) for name in first if name in second
    }
    return PolicyDifference(cohorts=len(shared), measures=compute_intervals(drawn))


def _split_by_cohort(cohorts: Sequence[MaturedCohort], everyone: CustomerBootstrap) -> Iterator[CustomerBootstrap]:
    number = np.repeat(np.arange(len(cohorts)), [len(cohort.customers) for cohort in cohorts])
    return (everyone.subset(number == position) for position in range(len(cohorts)))


def _mean(performances: Sequence[PolicyPerformance]) -> MetricDraws:
    """Average each measure that all cohorts have."""
    names = [name for name in performances[0].drawn if all(name in item.drawn for item in performances)]
    return {
        name: (
            float(np.mean([item.drawn[name][0] for item in performances])),
            cast(Floats, np.mean([item.drawn[name][1] for item in performances], axis=0)),
        )
        for name in names
    }
