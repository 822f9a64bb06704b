"""Command that simulates weeks of the whole system in minutes, with a fault: `python -m simulations price-change`."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.runtime.cli_errors import exit_on_expected_error
from holdfast.shared_state.work_locks import work_lock
from simulations.baseline_state import BaselineKey, code_fingerprint, copy_baseline, remove_stale_baselines
from simulations.daily_data import MAX_DAYS
from simulations.job_spec import JobSpec
from simulations.report import print_results, result_name, write_page
from simulations.scenario_result import ScenarioResult, read_results, result_path, simulations_folder
from simulations.scenarios import SCENARIOS
from simulations.worker import run_job
from simulations.workspace import StoreName

_ALL = "all"


class UnknownScenarioError(HoldfastError):
    """There is no scenario of this name."""


def simulate(
    scenario: Annotated[str, typer.Argument(help="Name of a scenario, or all.")] = "",
    days: Annotated[
        int | None, typer.Option(min=1, max=MAX_DAYS, help="Number of days; default: set by the scenario.")
    ] = None,
    customers: Annotated[int | None, typer.Option(help="Number of customers; 0: all.")] = None,
    store: Annotated[StoreName | None, typer.Option(help="Kind of the online store.")] = None,
    predictions: Annotated[
        int, typer.Option(min=0, help="Predictions that the clients of changed-definition request at least.")
    ] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Build the baseline state again.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Only write docs/simulations.md from the results.")] = False,
    no_fault: Annotated[bool, typer.Option("--no-fault", hidden=True)] = False,
) -> None:
    """Run a scenario and print its result, which is written to data/simulations/SCENARIO.json."""
    console = Console(highlight=False, soft_wrap=True)
    with exit_on_expected_error():
        settings = Settings.from_environment()
        if table:
            console.print(f"Wrote {write_page(settings)}", markup=False)
            return
        if scenario not in [*SCENARIOS, _ALL]:
            raise UnknownScenarioError(
                f"{scenario or 'Nothing'} is not the name of a scenario. Names: {', '.join([*SCENARIOS, _ALL])}."
            )
        names = list(SCENARIOS) if scenario == _ALL else [scenario]
        results = []
        with work_lock(settings, "simulation", seconds=0):
            for name in names:
                default = SCENARIOS[name]
                chosen = store or default.store
                spec = JobSpec(
                    job="scenario",
                    scenario=name,
                    days=days or default.days,
                    customers=default.customers if customers is None else customers,
                    store=chosen,
                    with_fault=not no_fault,
                    disk_mb=default.disk_mb,
                    predictions=predictions,
                    result=result_path(settings, result_name(name, chosen)),
                )
                results.append(_run(settings, spec, console, fresh))
                fresh = False
        print_results(results, console)
    if not all(result.passed for result in results):
        sys.exit(1)


def ensure_baseline(folder: Path, key: BaselineKey, report: Callable[[str], None], fresh: bool = False) -> None:
    """Build the baseline state of simulations if it is missing.

    Args:
        folder: Folder of all simulations.
        key: Baseline to build.
        report: Called with lines for the user.
        fresh: Build the baseline even if it exists.
    """
    remove_stale_baselines(folder, key)
    baseline = key.folder(folder)
    if fresh or not baseline.exists():
        report("building the baseline state: history, features, a champion")
        building = folder / f".building-{os.getpid()}"
        run_job(building, JobSpec(job="baseline", customers=key.customers), report)
        for obsolete in (building / "prefect", building / "logs", baseline):  # each run has a Prefect server
            if obsolete.exists():
                shutil.rmtree(obsolete)
        building.rename(baseline)


def _run(settings: Settings, spec: JobSpec, console: Console, fresh: bool) -> ScenarioResult:
    """Run a scenario in a copy of the baseline state."""
    folder, start = simulations_folder(settings), time.monotonic()
    key = BaselineKey(spec.customers, code_fingerprint())

    def report(line: str) -> None:
        console.print(f"{spec.scenario:<18}{time.monotonic() - start:>5.0f} s  {line}", markup=False)

    ensure_baseline(folder, key, report, fresh)
    state = folder / f"{spec.scenario}-state"
    copy_baseline(folder, key, state)
    name = result_name(spec.scenario, spec.store)
    result_path(settings, name).unlink(missing_ok=True)  # an earlier result must not be reported
    run_job(state, spec, report)
    (result,) = read_results(settings, [name])
    return result


if __name__ == "__main__":
    typer.run(simulate)
