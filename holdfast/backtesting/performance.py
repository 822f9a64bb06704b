"""How good the scores of each policy turned out to be, cohort by cohort and over all, with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import numpy as np
import pandas as pd

from feature_repo.names import ENTITY_KEY
from holdfast.backtesting.policies import Policy
from holdfast.backtesting.results import CohortMeans, CohortOutcome, PolicyDifference
from holdfast.batch_scoring.performance import compute_intervals, measure_performance
from holdfast.core.types import Bools, Floats
from holdfast.training.bootstrap import CustomerBootstrap
from holdfast.training.settings import TrainingSettings


@dataclass(frozen=True)
class MaturedCohort:
    """The customers scored at one moment, sorted by id, and which of them churned, shape (customers,)."""

    as_of: datetime
    matured_at: datetime
    customers: list[str]
    churned: Bools


@dataclass(frozen=True)
class PolicyPerformance:
    """The measures of one policy on one cohort: value, and its draws, shape (resamples,)."""

    cohort: MaturedCohort
    drawn: dict[str, tuple[float, Floats]]

    def outcome(self) -> CohortOutcome:
        """As it is kept."""
        cohort = self.cohort
        return CohortOutcome(
            as_of=cohort.as_of,
            matured_at=cohort.matured_at,
            customers=len(cohort.customers),
            base_rate=float(cohort.churned.mean()),
            measures=compute_intervals(self.drawn),
        )


def evaluate_policies(
    cohorts: Sequence[MaturedCohort],
    scored: Mapping[Policy, Mapping[datetime, pd.DataFrame]],
    training: TrainingSettings,
) -> dict[Policy, list[PolicyPerformance]]:
    """Every policy on every mature cohort that it scored.

    ``scored`` maps policy and moment to a table as in ``holdfast.batch_scoring.scores_table.ScoresSchema``. All are
    judged on the same resamples of customers, so that differences between policies have intervals, too.

    Raises:
        RuntimeError: Two policies scored different customers at one moment.
    """
    everyone = CustomerBootstrap(
        [customer for cohort in cohorts for customer in cohort.customers], training.resamples, training.seed
    )
    judged: dict[Policy, list[PolicyPerformance]] = {policy: [] for policy in scored}
    for cohort, resamples in zip(cohorts, _of_each(cohorts, everyone), strict=True):
        for policy, tables in scored.items():
            if (table := tables.get(cohort.as_of)) is None:
                continue
            if table[ENTITY_KEY].tolist() != cohort.customers:
                raise RuntimeError(f"Policy {policy} scored other customers at {cohort.as_of:%Y-%m-%d} than the rest.")
            scores, offered = table["churn_probability"].to_numpy(), table["will_churn"].to_numpy()
            judged[policy].append(
                PolicyPerformance(
                    cohort, measure_performance(cohort.churned, scores, offered, training.value, resamples)
                )
            )
    return judged


def compute_means(judged: Sequence[PolicyPerformance]) -> CohortMeans | None:
    """The mean over cohorts; None without any."""
    if not judged:
        return None
    rows = sum(len(item.cohort.customers) for item in judged)
    return CohortMeans(cohorts=len(judged), rows=rows, measures=compute_intervals(_mean(judged)))


def compute_difference(
    left: Sequence[PolicyPerformance], right: Sequence[PolicyPerformance]
) -> PolicyDifference | None:
    """``left`` less ``right`` on the cohorts that both scored; None without any."""
    shared = {item.cohort.as_of for item in left} & {item.cohort.as_of for item in right}
    if not shared:
        return None
    ours, theirs = (_mean([item for item in side if item.cohort.as_of in shared]) for side in (left, right))
    both = ours.keys() & theirs.keys()
    drawn = {name: (ours[name][0] - theirs[name][0], ours[name][1] - theirs[name][1]) for name in ours if name in both}
    return PolicyDifference(cohorts=len(shared), measures=compute_intervals(drawn))


def _of_each(cohorts: Sequence[MaturedCohort], everyone: CustomerBootstrap) -> Iterator[CustomerBootstrap]:
    number = np.repeat(np.arange(len(cohorts)), [len(cohort.customers) for cohort in cohorts])
    return (everyone.subset(number == place) for place in range(len(cohorts)))


def _mean(judged: Sequence[PolicyPerformance]) -> dict[str, tuple[float, Floats]]:
    """The mean over cohorts of each measure that all of them have."""
    names = [name for name in judged[0].drawn if all(name in item.drawn for item in judged)]
    return {
        name: (
            float(np.mean([item.drawn[name][0] for item in judged])),
            cast(Floats, np.mean([item.drawn[name][1] for item in judged], axis=0)),
        )
        for name in names
    }
