"""Rollback: the previous champion becomes the champion again. `python -m flows.rollback --reason "many complaints"`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import flow
from prefect.runtime import flow_run

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_text
from flows._cli import run_flow
from flows._tasks import open_model_registry, task
from flows.model_card import refresh_model_cards
from holdfast.core.errors import RollbackError
from holdfast.core.identity import Person
from holdfast.models.contract import CHAMPION
from holdfast.models.declaration import CHURN
from holdfast.runtime.callers import identify_caller

if TYPE_CHECKING:
    from holdfast.promotion.rollback import RollbackResult


@task(name="move back")
def move_champion_back_task(
    settings: Settings, model: str, to: str | None, leave: str | None, who: Person, why: str
) -> "RollbackResult":
    """Move the alias champion back and record the reason on the version that was rolled back."""
    from holdfast.promotion.rollback import RollbackCause, roll_back

    client = open_model_registry(settings, model)
    cause = RollbackCause(who.name, why, datetime.now(UTC), str(flow_run.id or ""), who.proof)
    result = roll_back(client, settings, to, cause, leave)
    publish_text(result.describe(), key="rollback", description=f"{client.model_name}: {CHAMPION} moved back")
    return result


@flow(name="rollback", flow_run_name="rollback", persist_result=False)
def rollback(
    reason: str = "", to: str | None = None, who: str | None = None, leave: str | None = None, model: str = CHURN
) -> "RollbackResult":
    """Make the previous champion, or another former champion, the champion again.

    A retry of the run never moves the alias one version further.

    Args:
        reason: Why, in a sentence; required. The reason is recorded on the version that is rolled back.
        to: A former champion; the previous champion when left out.
        who: Who rolls back, recorded as claimed; the user of this machine when left out.
        leave: Roll back only if this version is the champion, so that two people do not move back two versions.
        model: The model, as declared in feature_repo/models.
    """
    if not reason.strip():
        raise RollbackError(
            "A rollback needs a reason (`--reason`, or the parameter reason). The champion is unchanged."
        )
    settings = configure()
    result = move_champion_back_task(settings, model, to, leave, identify_caller(who), reason.strip())
    if result.moved:
        refresh_model_cards(settings, result.version, result.rolled_back, model=model)
    return result


if __name__ == "__main__":
    run_flow(rollback)
