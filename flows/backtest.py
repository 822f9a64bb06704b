"""Backtest: policies of retraining on the past. `python -m flows.backtest --from 1997-10-01 --to 1998-03-01`"""

import os
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import typer
from prefect import flow
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from rich.console import Console

from feature_repo.settings import Settings, load_settings
from feature_repo.timestamps import as_utc
from flows import configure
from flows._tasks import task
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
from holdfast.core.formatting import png_data_url, render_png
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.runtime.locks import folder_lock
from holdfast.training.settings import TrainingSettings

_LONGEST_FIRST: list[Policy] = ["always", "drift", "decay", "never"]


@task(name="walk through time")
def walks_task(settings: Settings, told: BacktestPlan, policies: Sequence[Policy]) -> dict[Policy, list[BacktestStep]]:
    """Each policy in a process and a data folder of its own: aliases, registries and clocks must not meet."""
    from holdfast.runtime.parallel_commands import Command, run_parallel

    console, commands = Console(highlight=False, soft_wrap=True), dict[str, Command]()
    for policy in sorted(policies, key=_LONGEST_FIRST.index):
        state = create_state_folder(settings, policy)
        (state / JOB_FILE).write_text(BacktestJob(plan=told, policy=policy).model_dump_json())
        commands[policy] = Command("flows.backtest_policy", state, state / LOG_FILE)
    run_parallel(commands, os.cpu_count() or 1, lambda name, line: console.print(f"{name:<7}{line}", markup=False))
    return {policy: read_steps(commands[policy].state / STEPS_FILE) for policy in policies}


@task(name="join outcomes")
def results_task(
    settings: Settings, told: BacktestPlan, walked: dict[Policy, list[BacktestStep]]
) -> list[BacktestResult]:
    """What came of it, with what an earlier backtest of the same plan found; written to its files."""
    from holdfast.backtesting.compile_results import add_earlier_steps, compile_results

    for policy in walked:
        publish_scores(settings, policy)
    results = compile_results(settings, told, add_earlier_steps(settings, told, walked))
    for result in results:
        write_result(result, result_path(settings, result.policy))
    return results


@task(name="picture")
def picture_task(settings: Settings, results: list[BacktestResult]) -> None:
    """All policies on one chart: a file, and beside the flow run."""
    from holdfast.backtesting.console_tables import recommend_policy
    from holdfast.backtesting.plots import plot_policies
    from holdfast.core.atomic_files import replace_file

    content = render_png(plot_policies(results))
    with replace_file(plot_path(settings)) as temporary:
        temporary.write_bytes(content)
    create_image_artifact(png_data_url(content), key="backtest", description="Policies of retraining, month by month")
    create_markdown_artifact(recommend_policy(results), key="backtest-verdict", description="What the backtest says")


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
) -> list[BacktestResult]:
    """Walk through the past with one policy of retraining or with all, and compare what they would have brought.

    Args:
        start: The first step (--from).
        end: No step is after it (--to).
        every: How far apart the steps are.
        policy: When to train again; all of them when left out.
        known_at: What had arrived by then counts at every step, as when history was imported at once. Left out, what
            had arrived by the step; in a folder that replays a historical data set, everything.
        training: As for flows.train.
        thresholds: What the gates ask; {} for what they ask live. Left out, a version need not be surely better than
            the baselines, because early ones seldom are.
        rules: When drift counts.
    """
    settings = configure()
    told = make_plan(
        settings,
        as_utc(start),
        as_utc(end),
        every,
        as_utc(known_at) if known_at else None,
        training or TrainingSettings(),
        thresholds or DEFAULT_GATES,
        rules or PolicySettings(),
    )
    with folder_lock(backtest_folder(settings), "backtest"):
        walked = walks_task(settings, told, POLICIES if policy == "all" else [policy])
        results = results_task(settings, told, walked)
        picture_task(settings, results)
    return results


def _show(results: list[BacktestResult]) -> None:
    from holdfast.backtesting.console_tables import print_results

    settings, console = load_settings(), Console(highlight=False, soft_wrap=True)
    print_results(results, console)
    console.print(f"\nAll of it: {backtest_folder(settings)}, the picture: {plot_path(settings)}", markup=False)


if __name__ == "__main__":
    from flows._cli import run_flow

    # Prefect's temporary server ends when this process exits, but not when a signal ends it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    run_flow(backtest, show=_show)
