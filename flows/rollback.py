"""Rollback: the champion before serves again. `python -m flows.rollback --reason "complaints since Monday"`"""

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._tasks import task
from flows.model_card import refresh_model_cards
from holdfast.models.contract import CHAMPION, MODEL_NAME


@dataclass(frozen=True)
class RollbackResult:
    """Which version is the champion again, and which no longer."""

    version: str
    rolled_back: str
    moved: bool
    warning: str = ""
    """That it does not fit the definitions of today."""


@task(name="move back")
def move_back_task(
    settings: Settings, to: str | None, why: str, who: str, now: datetime, leave: str | None, flow_run: str
) -> RollbackResult:
    """Move the alias and say so."""
    from holdfast.model_versions.aliases import open_registry
    from holdfast.promotion.rollback import describe_changed_definitions, roll_back

    client = open_registry(settings)
    back = roll_back(client, settings, to, why, who, now, leave, flow_run)
    warning = describe_changed_definitions(client, settings, back.version) if back.moved else ""
    result = RollbackResult(back.version, back.rolled_back, back.moved, warning)
    create_markdown_artifact(_told(result, why), key="rollback", description=f"{MODEL_NAME}: {CHAMPION} moved back")
    return result


@flow(name="rollback", flow_run_name="rollback", persist_result=False)
def rollback(
    reason: str = "", to: str | None = None, who: str | None = None, leave: str | None = None
) -> RollbackResult:
    """Move champion back to the version before, or to a former champion. A retry of the run never goes back one more.

    Args:
        reason: Why, in a sentence: nothing moves without. It stays on the version that is rolled back.
        to: A version that was champion before; the previous one when left out.
        who: Who rolls back; the user of this machine when left out.
        leave: Only if this version is the champion; so two people do not go back two versions.
    """
    from prefect.runtime import flow_run

    from holdfast.core.errors import RollbackError

    if not reason.strip():
        raise RollbackError(
            "A rollback needs a reason (`--reason`, or the parameter reason). The champion is unchanged."
        )
    settings = configure()
    result = move_back_task(
        settings, to, reason.strip(), who or getpass.getuser(), datetime.now(UTC), leave, str(flow_run.id or "")
    )
    if result.moved:
        refresh_model_cards(settings, result.version, result.rolled_back)
    return result


def _told(result: RollbackResult, why: str) -> str:
    if not result.moved:
        return f"{CHAMPION} is version {result.version}, as before."
    told = f"{CHAMPION} is version {result.version} again. Version {result.rolled_back} was rolled back: {why}"
    return f"{told}\n\n**Warning.** {result.warning}" if result.warning else told


def _show(result: RollbackResult) -> None:
    from rich.console import Console

    told = f"{CHAMPION} is version {result.version}{' again' if result.moved else ', as before'}."
    console = Console(highlight=False, soft_wrap=True)
    if result.warning:
        console.print(f"Warning: {result.warning}", style="yellow", markup=False)
    console.print(f"{told} `python -m flows.package` puts it into a bento.")


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(rollback, show=_show)
