"""Walks into results: outcomes joined, policies judged side by side."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.backtesting.paths import result_path, scores_folder
from holdfast.backtesting.performance import (
    MaturedCohort,
    PolicyPerformance,
    compute_difference,
    compute_means,
    evaluate_policies,
)
from holdfast.backtesting.plan import BacktestPlan
from holdfast.backtesting.policies import POLICIES, Policy
from holdfast.backtesting.results import BacktestResult, BacktestStep, PolicyDifference, read_result
from holdfast.batch_scoring.outcomes import is_mature, load_cohort_outcomes, maturity_time
from holdfast.batch_scoring.scores_table import read_scores, scores_path

_JUDGED = [ENTITY_KEY, "churn_probability", "will_churn"]


def add_earlier_steps(
    settings: Settings, plan: BacktestPlan, walked: Mapping[Policy, list[BacktestStep]]
) -> dict[Policy, list[BacktestStep]]:
    """The steps of ``walked``, and of the policies that an earlier backtest of the same plan has walked."""
    steps: dict[Policy, list[BacktestStep]] = {}
    for policy in POLICIES:
        if policy in walked:
            steps[policy] = walked[policy]
        elif scores_folder(settings, policy).is_dir() and (
            found := read_result(result_path(settings, policy), plan.key)
        ):
            steps[policy] = found.steps
    return steps


def compile_results(
    settings: Settings, plan: BacktestPlan, walked: Mapping[Policy, list[BacktestStep]]
) -> list[BacktestResult]:
    """One result per policy. Their scores are in ``scores_folder``.

    A cohort whose horizon the data do not cover has no outcome.
    """
    scored = {policy: _tables(scores_folder(settings, policy), steps) for policy, steps in walked.items()}
    judged = evaluate_policies(_cohorts(settings, plan, list(scored.values())), scored, plan.training)
    return [
        BacktestResult(
            policy=policy,
            start=plan.steps[0],
            end=plan.steps[-1],
            every=plan.every,
            thresholds=plan.thresholds,
            key=plan.key,
            steps=_with_outcomes(steps, judged[policy]),
            overall=compute_means(judged[policy]),
            over=_over(policy, judged),
        )
        for policy, steps in walked.items()
    ]


def _with_outcomes(steps: Sequence[BacktestStep], judged: Sequence[PolicyPerformance]) -> list[BacktestStep]:
    found = {item.cohort.as_of: item.outcome() for item in judged}
    return [step.model_copy(update={"outcome": found.get(step.as_of)}) for step in steps]


def _tables(folder: Path, steps: Sequence[BacktestStep]) -> dict[datetime, pd.DataFrame]:
    return {step.as_of: read_scores(scores_path(folder, step.as_of), _JUDGED) for step in steps if step.customers}


def _cohorts(
    settings: Settings, plan: BacktestPlan, scored: Sequence[Mapping[datetime, pd.DataFrame]]
) -> list[MaturedCohort]:
    cohorts = []
    for moment in plan.steps:
        table = next((tables[moment] for tables in scored if moment in tables), None)
        if table is not None and is_mature(settings, moment, plan.arrived, plan.arrived):
            churned = load_cohort_outcomes(settings, table, moment, plan.arrived)
            cohorts.append(MaturedCohort(moment, maturity_time(settings, moment), table[ENTITY_KEY].tolist(), churned))
    return cohorts


def _over(policy: Policy, judged: Mapping[Policy, Sequence[PolicyPerformance]]) -> dict[Policy, PolicyDifference]:
    found = {other: compute_difference(judged[policy], judged[other]) for other in judged if other != policy}
    return {other: told for other, told in found.items() if told is not None}
