"""Report of simulation results: a table in the terminal, and the page docs/simulations.md."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from simulations.scenario_result import ScenarioResult, read_results
from simulations.scenarios import SCENARIOS
from simulations.workspace import ROOT, StoreName

_MAX_CHARACTERS = 160
_PAGE = ROOT / "docs" / "simulations.md"
_INTRODUCTION = """\
# Simulations

`python -m simulations SCENARIO` runs days of a shop in minutes, with the real components: a Prefect server and a worker
with the deployments and automations of `prefect.yaml`, an MLflow server, `bentoml serve` with HTTP clients, and SQLite
or a Redis server. The purchases are CDNOW's from May 1998 on, of a sample of its customers. The simulation starts the
daily run and monitoring, and injects the fault; the system does everything else.

Every prediction is recomputed offline, point in time, through Feast, by the same version. *Lost* counts requests
without a prediction within two minutes or without a row in the prediction log; *wrong* counts predictions that differ
in any bit. A finding counts only if its event reached Prefect's server.

`python -m simulations --table` writes this page from `data/simulations/*.json`, which contain all details.
"""
_COLUMNS = (
    "scenario",
    "fault",
    "to be detected by",
    "detected by",
    "actions of the system",
    "lost",
    "wrong",
    "seconds",
    "passed",
)


def print_results(results: Sequence[ScenarioResult], console: Console) -> None:
    """Print a table of results, and the missed detections and expectations.

    Args:
        results: Results of scenarios.
        console: Terminal.
    """
    table = Table("scenario", "detected", "actions", "requests", "lost", "wrong", "seconds", "passed", box=None)
    for result in results:
        table.add_row(
            result.scenario,
            f"{sum(item.in_time for item in result.detected_by)} of {len(result.detected_by)}",
            str(len(result.actions)),
            f"{result.asked:,}",
            str(result.predictions_lost),
            str(result.predictions_wrong),
            f"{result.seconds:.0f}",
            "yes" if result.passed else "NO",
        )
    console.print(table)
    for result in results:
        for missed in [item for item in result.detected_by if not item.in_time]:
            console.print(
                f"{result.scenario}: {missed.event} {missed.subject} not detected by {missed.by:%Y-%m-%d}",
                markup=False,
            )
        for unmet in [item for item in result.expectations if not item.met]:
            console.print(f"{result.scenario}: expected: {unmet.expected}; found: {unmet.found}", markup=False)


def write_page(settings: Settings) -> Path:
    """Write docs/simulations.md from the existing results.

    Args:
        settings: Location of the results.

    Returns:
        Path of the page.
    """
    stores: tuple[StoreName, ...] = get_args(StoreName)
    results = read_results(settings, [result_name(scenario, store) for scenario in SCENARIOS for store in stores])
    with replace_file(_PAGE) as temporary:
        temporary.write_text(render_page(results))
    return _PAGE


def result_name(scenario: str, store: StoreName) -> str:
    """Name the result of a scenario.

    Args:
        scenario: Name of the scenario.
        store: Kind of the online store.

    Returns:
        Name of the scenario, with the store unless that is the scenario's default.
    """
    return scenario if store == SCENARIOS[scenario].store else f"{scenario}-{store}"


def render_page(results: Sequence[ScenarioResult]) -> str:
    """Render the page.

    Args:
        results: Results of scenarios.

    Returns:
        The page as Markdown.
    """
    rows = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for result in results:
        rows.append("| " + " | ".join(_cell(text) for text in _cells(result)) + " |")
    commits = ", ".join(sorted({result.commit for result in results})) or "none yet"
    return f"{_INTRODUCTION}\nRun at commit: {commits}.\n\n" + "\n".join(rows) + "\n"


def _cells(result: ScenarioResult) -> list[str]:
    customers = f"{result.customers:,}" if result.customers else "all"
    return [
        result.scenario,
        f"{result.fault} {result.days} days, {customers} customers, {result.store}.",
        "; ".join(f"`{item.event}`, {item.visible}: {_time(item.by)}" for item in result.detected_by) or "nothing",
        "; ".join(f"{item.found}: {_time(item.detected_at)}" for item in result.detected_by if item.detected_at) or "-",
        "; ".join(_merge_repeated(result.actions)) or "nothing",
        f"{result.predictions_lost} of {result.asked}",
        str(result.predictions_wrong),
        f"{result.seconds:.0f}",
        "yes" if result.passed else "no",
    ]


def _merge_repeated(actions: Sequence[str]) -> list[str]:
    """Shorten actions and count repeated ones."""
    counts = Counter(action if len(action) <= _MAX_CHARACTERS else f"{action[:_MAX_CHARACTERS]}…" for action in actions)
    return [f"{count}x {action}" if count > 1 else action for action, count in counts.items()]


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d}" if time.hour == 0 else f"{time:%Y-%m-%d %H:%M}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
