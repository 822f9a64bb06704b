"""Simulate: weeks of the whole system in minutes, with a fault planted. `python -m simulations price-change`"""

import os
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from feature_repo.settings import Settings, load_settings
from holdfast.core.errors import HoldfastError
from simulations.daily_data import MOST_DAYS

if TYPE_CHECKING:
    from simulations.baseline_state import WorldKey
    from simulations.outcome import Outcome
    from simulations.scenario import Scenario

_ALL = "all"


class SimulationError(HoldfastError):
    """A simulation cannot be run."""


class Store(StrEnum):
    """Where online features are."""

    sqlite = "sqlite"
    redis = "redis"


def simulate(
    scenario: Annotated[str, typer.Argument(help="One of the scenarios, or all of them: all.")] = "",
    days: Annotated[
        int | None, typer.Option(min=1, max=MOST_DAYS, help="So many days; the scenario's own when left out.")
    ] = None,
    customers: Annotated[int | None, typer.Option(help="Of so many customers; 0: of all.")] = None,
    store: Annotated[Store | None, typer.Option(help="Where online features are.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make the world it begins in anew.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Only write docs/simulations.md from the outcomes.")] = False,
    no_plant: Annotated[bool, typer.Option("--no-plant", hidden=True)] = False,
) -> None:
    """Run a scenario and say what came of it; the outcome is data/simulations/SCENARIO.json."""
    from holdfast.runtime.cli_errors import exit_on_expected_error
    from holdfast.runtime.locks import folder_lock
    from simulations.outcome import simulations_folder
    from simulations.report import print_outcomes, write_table
    from simulations.scenarios import SCENARIOS

    console = Console(highlight=False, soft_wrap=True)
    with exit_on_expected_error():
        settings = load_settings()
        if table:
            console.print(f"Wrote {write_table(settings)}", markup=False)
            return
        if scenario not in [*SCENARIOS, _ALL]:
            raise SimulationError(
                f"{scenario or 'Nothing'} is no scenario. Name one of: {', '.join([*SCENARIOS, _ALL])}."
            )
        names = list(SCENARIOS) if scenario == _ALL else [scenario]
        outcomes = []
        with folder_lock(simulations_folder(settings), "simulation"):
            for name in names:
                outcomes.append(
                    _run(settings, SCENARIOS[name], console, days, customers, store, fresh, fault=not no_plant)
                )
                fresh = False
        print_outcomes(outcomes, console)
    if not all(outcome.passed for outcome in outcomes):
        sys.exit(1)


def _run(
    settings: Settings,
    scenario: "type[Scenario]",
    console: Console,
    days: int | None,
    customers: int | None,
    store: Store | None,
    fresh: bool,
    fault: bool,
) -> "Outcome":
    """Make the world if there is none, copy it, play."""
    from simulations.baseline_state import WorldKey, code_now, copy_world
    from simulations.job_spec import Told
    from simulations.outcome import outcome_path, read_outcomes, simulations_folder
    from simulations.worker import run_process

    folder, began = simulations_folder(settings), time.monotonic()
    key = WorldKey(scenario.customers if customers is None else customers, code_now())

    def say(line: str) -> None:
        console.print(f"{scenario.name:<18}{time.monotonic() - began:>5.0f} s  {line}", markup=False)

    ensure_world(folder, key, say, fresh)
    state = folder / f"{scenario.name}-state"
    copy_world(folder, key, state)
    place = outcome_path(settings, scenario.name)
    place.unlink(missing_ok=True)  # what an earlier run found says nothing of this one
    told = Told(
        work="scenario",
        scenario=scenario.name,
        days=days or scenario.days,
        customers=key.customers,
        store=store.value if store else scenario.store,
        fault=fault,
        disk_mb=scenario.disk_mb,
        outcome=place,
    )
    run_process(state, told, say)
    (found,) = read_outcomes(settings, [scenario.name])
    return found


def ensure_world(folder: Path, key: "WorldKey", say: Callable[[str], None], fresh: bool = False) -> None:
    """Make the world in which simulations in ``folder`` begin, if it is not there, or is to be made anew."""
    from simulations.baseline_state import forget_others
    from simulations.job_spec import Told
    from simulations.worker import run_process

    forget_others(folder, key)
    world = key.folder(folder)
    if fresh or not world.exists():
        say("making the world it begins in: history, features, a champion")
        making = folder / f".making-{os.getpid()}"
        run_process(making, Told(work="world", customers=key.customers), say)
        _replace(making, world)


def _replace(making: Path, world: Path) -> None:
    import shutil

    for left in (making / "prefect", making / "logs", world):  # every run has a server of its own
        if left.exists():
            shutil.rmtree(left)
    making.rename(world)


if __name__ == "__main__":
    typer.run(simulate)
