"""Backtest: retraining policies on past data. `python -m flows.backtest --from 1997-10-01 --to 1998-03-01`."""

import os
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import typer
from prefect import flow
from rich.console import Console

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from flows import configure
from flows._artifacts import publish_plot, publish_text
from flows._cli import run_flow
from flows._tasks import task
from holdfast.backtesting.console_tables import print_results, recommend_policy
from holdfast.backtesting.paths import (
    JOB_FILE,
    LOG_FILE,
    STEPS_FILE,
    backtest_folder,
    create_state_folder,
    plot_path,
    publish_scores,
    result_path,
)
from holdfast.backtesting.plan import BacktestJob, BacktestPlan, StepInterval, make_plan
from holdfast.backtesting.policies import POLICIES, Policy
from holdfast.backtesting.results import BacktestResult, BacktestStep, read_steps, write_result
from holdfast.backtesting.settings import DEFAULT_GATES, PolicySettings
from holdfast.core.atomic_files import replace_file
from holdfast.core.plot_style import render_png
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models.declaration import CHURN, load_declaration
from holdfast.runtime.parallel_commands import Command, run_parallel
from holdfast.shared_state.work_locks import work_lock
from holdfast.training.settings import TrainingSettings

_LONGEST_FIRST: list[Policy] = ["always", "drift", "decay", "never"]


@task(name="run policies")
def run_policies_task(
    settings: Settings, backtest_plan: BacktestPlan, policies: Sequence[Policy]
) -> dict[Policy, list[BacktestStep]]:
    """Run each policy in a separate process and data folder, with separate aliases, registries and clocks."""
    console, commands = Console(highlight=False, soft_wrap=True), dict[str, Command]()
    for policy in sorted(policies, key=_LONGEST_FIRST.index):
        state = create_state_folder(settings, policy, backtest_plan.model)
        (state / JOB_FILE).write_text(BacktestJob(plan=backtest_plan, policy=policy).model_dump_json())
        commands[policy] = Command("flows.backtest_policy", state, state / LOG_FILE)
    run_parallel(commands, os.cpu_count() or 1, lambda name, line: console.print(f"{name:<7}{line}", markup=False))
    return {policy: read_steps(commands[policy].state / STEPS_FILE) for policy in policies}


@task(name="join outcomes")
def join_outcomes_task(
    settings: Settings, backtest_plan: BacktestPlan, steps: dict[Policy, list[BacktestStep]]
) -> list[BacktestResult]:
    """Join steps and outcomes, with the policies of an earlier backtest of the same plan, and write the results."""
    from holdfast.backtesting.compile_results import add_earlier_steps, compile_results

    for policy in steps:
        publish_scores(settings, policy, backtest_plan.model)
    results = compile_results(settings, backtest_plan, add_earlier_steps(settings, backtest_plan, steps))
    for result in results:
        write_result(result, result_path(settings, result.policy, result.model))
    return results


@task(name="publish report")
def publish_comparison_task(settings: Settings, results: list[BacktestResult]) -> None:
    """Plot all policies into a file, and publish plot and recommendation in the Prefect UI."""
    from holdfast.backtesting.plots import plot_policies

    content = render_png(plot_policies(results))
    with replace_file(plot_path(settings, results[0].model)) as temporary:
        temporary.write_bytes(content)
    publish_plot(content, key="backtest", description="Retraining policies, month by month")
    publish_text(recommend_policy(results), key="backtest-verdict", description="Recommended policy")


@flow(name="backtest", persist_result=False)
def backtest(
    start: Annotated[datetime, typer.Option("--from")],
    end: Annotated[datetime, typer.Option("--to")],
    every: StepInterval = "month",
    policy: Literal["all", Policy] = "all",
    known_at: datetime | None = None,
    training: TrainingSettings | None = None,
    thresholds: GateSettings | None = None,
    rules: PolicySettings | None = None,
    model: str = CHURN,
) -> list[BacktestResult]:
    """Run one retraining policy, or all, on past data, and compare their performance and value.

    Args:
        start: Time of the first step (--from).
        end: Time of the last possible step (--to).
        every: Time between steps.
        policy: When to retrain; all policies when left out.
        known_at: Every step uses the data that had arrived by then, as after an import of the whole history. When left
            out, the data that had arrived by the step; all data in a folder that replays a historical data set.
        training: Settings of the training, as for flows.train.
        thresholds: Thresholds of the gates; {} for those of production. When left out, a small sure loss
            compared with the baselines and a larger bias are allowed, because early versions have little history.
        rules: Thresholds of drift.
        model: The model, as declared in feature_repo/models; the gates of a regression are those of its declaration.
    """
    settings = configure()
    backtest_plan = make_plan(
        settings,
        as_utc(start),
        as_utc(end),
        every,
        as_utc(known_at) if known_at else None,
        training or TrainingSettings(),
        thresholds or (DEFAULT_GATES if load_declaration(model).kind == "classification" else GateSettings()),
        rules or PolicySettings(),
        model,
    )
    with work_lock(settings, f"backtest-{model}", seconds=0):
        steps = run_policies_task(settings, backtest_plan, POLICIES if policy == "all" else [policy])
        results = join_outcomes_task(settings, backtest_plan, steps)
        publish_comparison_task(settings, results)
    return results


def _print(results: list[BacktestResult]) -> None:

    settings, console = Settings.from_environment(), Console(highlight=False, soft_wrap=True)
    print_results(results, console)
    model = results[0].model
    console.print(f"\nResults: {backtest_folder(settings, model)}, plot: {plot_path(settings, model)}", markup=False)


if __name__ == "__main__":
    # Prefect's temporary server ends with a normal exit of this process, not with a signal.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    run_flow(backtest, show=_print)
