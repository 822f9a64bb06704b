"""The table of outcomes: printed, and in docs/simulations.md."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from simulations.outcome import Outcome, read_outcomes
from simulations.workspace import ROOT

_LONGEST = 160
_PAGE = ROOT / "docs" / "simulations.md"
_INTRODUCTION = """\
# Simulations

`python -m simulations SCENARIO` runs days of a shop in minutes, with the real parts: a Prefect server and a worker
with the deployments and automations of `prefect.yaml`, an MLflow server, `bentoml serve` asked over HTTP, SQLite or a
Redis server as the online store. The purchases are CDNOW's of May 1998 and after, day by day, of a sample of its
customers. The simulation starts the daily run and monitoring, and what is planted; what else happened, the system did.

Every answer is held against the prediction log, and recomputed offline: point in time, through Feast, by the version
that answered. *Lost* is who was asked for and not answered within two minutes, or is missing in the log; *wrong* is any
other figure than the recomputed one, bit for bit. A finding counts only if its event reached Prefect's server.

This page is written by `python -m simulations --table` from `data/simulations/*.json`, which hold all of it.
"""
_COLUMNS = (
    "scenario",
    "planted",
    "to be detected by",
    "detected by",
    "what the system did",
    "lost",
    "wrong",
    "seconds",
    "passed",
)


def print_outcomes(outcomes: Sequence[Outcome], console: Console) -> None:
    """What came of each, and what was not met."""
    table = Table("scenario", "detected", "actions", "asked", "lost", "wrong", "seconds", "passed", box=None)
    for one in outcomes:
        table.add_row(
            one.scenario,
            f"{sum(item.in_time for item in one.detected_by)} of {len(one.detected_by)}",
            str(len(one.actions)),
            f"{one.asked:,}",
            str(one.predictions_lost),
            str(one.predictions_wrong),
            f"{one.seconds:.0f}",
            "yes" if one.passed else "NO",
        )
    console.print(table)
    for one in outcomes:
        for missed in [item for item in one.detected_by if not item.in_time]:
            console.print(
                f"{one.scenario}: {missed.event} {missed.subject} not seen by {missed.by:%Y-%m-%d}", markup=False
            )
        for unmet in [item for item in one.expectations if not item.met]:
            console.print(f"{one.scenario}: expected: {unmet.expected}; found: {unmet.found}", markup=False)


def write_table(settings: Settings) -> Path:
    """docs/simulations.md from the outcomes that there are."""
    from simulations.scenarios import SCENARIOS

    outcomes = read_outcomes(settings, list(SCENARIOS))
    with replace_file(_PAGE) as temporary:
        temporary.write_text(page(outcomes))
    return _PAGE


def page(outcomes: Sequence[Outcome]) -> str:
    """The page as Markdown."""
    rows = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for one in outcomes:
        rows.append("| " + " | ".join(_cell(text) for text in _cells(one)) + " |")
    commits = ", ".join(sorted({one.commit for one in outcomes})) or "none yet"
    return f"{_INTRODUCTION}\nRun at commit: {commits}.\n\n" + "\n".join(rows) + "\n"


def _cells(one: Outcome) -> list[str]:
    return [
        one.scenario,
        f"{one.planted} {one.days} days, {f'{one.customers:,}' if one.customers else 'all'} customers, {one.store}.",
        "; ".join(f"`{item.event}`, {item.visible}: {_time(item.by)}" for item in one.detected_by) or "nothing",
        "; ".join(f"{item.found}: {_time(item.detected_at)}" for item in one.detected_by if item.detected_at) or "-",
        "; ".join(_once_each(one.actions)) or "nothing",
        f"{one.predictions_lost} of {one.asked}",
        str(one.predictions_wrong),
        f"{one.seconds:.0f}",
        "yes" if one.passed else "no",
    ]


def _once_each(actions: Sequence[str]) -> list[str]:
    """Shortened, and what happened several times with how often."""
    counts = Counter(action if len(action) <= _LONGEST else f"{action[:_LONGEST]}…" for action in actions)
    return [f"{count}x {action}" if count > 1 else action for action, count in counts.items()]


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if moment.hour == 0 else f"{moment:%Y-%m-%d %H:%M}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
