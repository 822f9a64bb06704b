"""Results of a backtest from the steps of each policy, the outcomes and a comparison of the policies."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.backtesting.model_kinds import BacktestKind, find_kind
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
from holdfast.batch_scoring.outcomes import is_mature, maturity_time
from holdfast.batch_scoring.scores_table import scores_path
from holdfast.models.declaration import load_declaration
from holdfast.training.label_query import declared_label


def add_earlier_steps(
    settings: Settings, plan: BacktestPlan, completed: Mapping[Policy, list[BacktestStep]]
) -> dict[Policy, list[BacktestStep]]:
    """Add the steps of policies that an earlier backtest of the same plan has completed.

    Args:
        settings: Name the data folder.
        plan: Plan of the backtest.
        completed: Steps by policy.

    Returns:
        Steps by policy, in the order of ``POLICIES``.
    """
    steps: dict[Policy, list[BacktestStep]] = {}
    for policy in POLICIES:
        if policy in completed:
            steps[policy] = completed[policy]
        elif scores_folder(settings, policy, plan.model).is_dir() and (
            earlier := read_result(result_path(settings, policy, plan.model), plan.key)
        ):
            steps[policy] = earlier.steps
    return steps


def compile_results(
    settings: Settings, plan: BacktestPlan, steps_by_policy: Mapping[Policy, list[BacktestStep]]
) -> list[BacktestResult]:
    """Join outcomes and compute the performance of each policy.

    A cohort whose horizon is not covered by the data has no outcome.

    Args:
        settings: Name the data folder, with the scores of each policy.
        plan: Plan of the backtest.
        steps_by_policy: Steps of each policy.

    Returns:
        One result per policy.
    """
    kind = find_kind(plan.model)
    scored = {
        policy: _read_score_tables(kind, scores_folder(settings, policy, plan.model), steps)
        for policy, steps in steps_by_policy.items()
    }
    cohorts = _matured_cohorts(settings, plan, kind, list(scored.values()))
    performances = evaluate_policies(cohorts, scored, plan.training, kind)
    return [
        BacktestResult(
            policy=policy,
            model=plan.model,
            start=plan.steps[0],
            end=plan.steps[-1],
            every=plan.every,
            thresholds=plan.thresholds,
            key=plan.key,
            steps=_with_outcomes(steps, performances[policy]),
            overall=compute_means(performances[policy]),
            over=_compare(policy, performances),
        )
        for policy, steps in steps_by_policy.items()
    ]


def _with_outcomes(steps: Sequence[BacktestStep], performances: Sequence[PolicyPerformance]) -> list[BacktestStep]:
    outcomes = {item.cohort.as_of: item.outcome() for item in performances}
    return [step.model_copy(update={"outcome": outcomes.get(step.as_of)}) for step in steps]


def _read_score_tables(kind: BacktestKind, folder: Path, steps: Sequence[BacktestStep]) -> dict[datetime, pd.DataFrame]:
    return {step.as_of: kind.read(scores_path(folder, step.as_of)) for step in steps if step.customers}


def _matured_cohorts(
    settings: Settings, plan: BacktestPlan, kind: BacktestKind, scored: Sequence[Mapping[datetime, pd.DataFrame]]
) -> list[MaturedCohort]:
    cohorts, label = [], declared_label(settings, load_declaration(plan.model).label)
    for as_of in plan.steps:
        table = next((tables[as_of] for tables in scored if as_of in tables), None)
        if table is not None and is_mature(settings, label, as_of, plan.arrived, plan.arrived):
            outcomes = kind.outcomes(settings, label, table, as_of, plan.arrived)
            customers = table.loc[outcomes.index, ENTITY_KEY].tolist()
            cohorts.append(MaturedCohort(as_of, maturity_time(label, as_of), customers, outcomes.to_numpy()))
    return cohorts


def _compare(
    policy: Policy, performances: Mapping[Policy, Sequence[PolicyPerformance]]
) -> dict[Policy, PolicyDifference]:
    differences = {
        other: compute_difference(performances[policy], performances[other])
        for other in performances
        if other != policy
    }
    return {other: difference for other, difference in differences.items() if difference is not None}
