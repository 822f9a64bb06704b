"""Report of simulation outcomes: a table in the terminal, and the page docs/simulations.md."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from simulations.outcome import Outcome, read_outcomes
from simulations.scenarios import SCENARIOS
from simulations.workspace import ROOT

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


def print_outcomes(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print a table of outcomes, and the missed detections and expectations.

    Args:
        outcomes: Outcomes of scenarios.
        console: Terminal.
    """
    table = Table("scenario", "detected", "actions", "requests", "lost", "wrong", "seconds", "passed", box=None)
    for outcome in outcomes:
        table.add_row(
            outcome.scenario,
            f"{sum(item.in_time for item in outcome.detected_by)} of {len(outcome.detected_by)}",
            str(len(outcome.actions)),
            f"{outcome.asked:,}",
            str(outcome.predictions_lost),
            str(outcome.predictions_wrong),
            f"{outcome.seconds:.0f}",
            "yes" if outcome.passed else "NO",
        )
    console.print(table)
    for outcome in outcomes:
        for missed in [item for item in outcome.detected_by if not item.in_time]:
            console.print(
                f"{outcome.scenario}: {missed.event} {missed.subject} not detected by {missed.by:%Y-%m-%d}",
                markup=False,
            )
        for unmet in [item for item in outcome.expectations if not item.met]:
            console.print(f"{outcome.scenario}: expected: {unmet.expected}; found: {unmet.found}", markup=False)


def write_page(settings: Settings) -> Path:
    """Write docs/simulations.md from the existing outcomes.

    Args:
        settings: Location of the outcomes.

    Returns:
        Path of the page.
    """
    outcomes = read_outcomes(settings, list(SCENARIOS))
    with replace_file(_PAGE) as temporary:
        temporary.write_text(render_page(outcomes))
    return _PAGE


def render_page(outcomes: Sequence[Outcome]) -> str:
    """Render the page.

    Args:
        outcomes: Outcomes of scenarios.

    Returns:
        The page as Markdown.
    """
    rows = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for outcome in outcomes:
        rows.append("| " + " | ".join(_cell(text) for text in _cells(outcome)) + " |")
    commits = ", ".join(sorted({outcome.commit for outcome in outcomes})) or "none yet"
    return f"{_INTRODUCTION}\nRun at commit: {commits}.\n\n" + "\n".join(rows) + "\n"


def _cells(outcome: Outcome) -> list[str]:
    customers = f"{outcome.customers:,}" if outcome.customers else "all"
    return [
        outcome.scenario,
        f"{outcome.fault} {outcome.days} days, {customers} customers, {outcome.store}.",
        "; ".join(f"`{item.event}`, {item.visible}: {_time(item.by)}" for item in outcome.detected_by) or "nothing",
        "; ".join(f"{item.found}: {_time(item.detected_at)}" for item in outcome.detected_by if item.detected_at)
        or "-",
        "; ".join(_merge_repeated(outcome.actions)) or "nothing",
        f"{outcome.predictions_lost} of {outcome.asked}",
        str(outcome.predictions_wrong),
        f"{outcome.seconds:.0f}",
        "yes" if outcome.passed else "no",
    ]


def _merge_repeated(actions: Sequence[str]) -> list[str]:
    """Shorten actions and count repeated ones."""
    counts = Counter(action if len(action) <= _MAX_CHARACTERS else f"{action[:_MAX_CHARACTERS]}…" for action in actions)
    return [f"{count}x {action}" if count > 1 else action for action, count in counts.items()]


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d}" if time.hour == 0 else f"{time:%Y-%m-%d %H:%M}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
