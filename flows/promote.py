"""Promote: the challenger becomes the champion once it is approved. `python -m flows.promote --version 3`"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field, ValidationError

from feature_repo.model_contract import CHAMPION, MODEL_NAME
from feature_repo.settings import Settings, load_settings
from flows.model_card import cards_tell
from flows.promotion.errors import PromotionRefusedError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from flows.promotion.approval import Answer
    from flows.promotion.moving import Decision

_ASKING = "approval"  # the name of the one place where a run is suspended

__all__ = ["Approval", "PromoteResult", "PromotionRefusedError", "promote"]


class Approval(RunInput):
    """The form in the Prefect UI."""

    decision: Literal["approve", "refuse"] = Field(description="Refuse, and the champion stays.")
    approved_by: str = Field(pattern=r"\S", description="Your name: it stays on the version.")
    reason: str = Field(pattern=r"\S", description="Why, in a sentence: it stays on the version.")


@dataclass(frozen=True)
class PromoteResult:
    """Which version is the champion now, and which was before; who decided it, and why; on which own thresholds."""

    version: str
    previous: str | None
    moved: bool
    who: str
    why: str
    thresholds: dict[str, Any] = field(default_factory=dict)


@task(name="move champion", cache_policy=NO_CACHE, persist_result=False)
def move_task(settings: Settings, version: str, decision: "Decision") -> PromoteResult:
    """Record the decision and move the alias."""
    from flows.promotion.moving import move_champion
    from flows.promotion.records import PromotionRecord
    from flows.promotion.registry import open_registry

    client = open_registry(settings)
    previous = move_champion(client, settings, version, decision, datetime.now(UTC))
    record = PromotionRecord.of(client, version)
    thresholds = record.thresholds if record else {}
    result = PromoteResult(version, previous, previous != version, decision.who, decision.why, thresholds)
    create_markdown_artifact(_told(result), key="promotion", description=f"{MODEL_NAME}: {CHAMPION}")
    return result


def _run_name() -> str:
    from prefect.runtime import flow_run

    return f"promote version {flow_run.parameters.get('version') or '(the challenger)'}"


@flow(name="promote", flow_run_name=_run_name, persist_result=False)
def promote(
    version: str | None = None,
    approval: Literal["auto", "manual"] = "auto",
    reason: str = "",
    timeout_hours: float = 72,
) -> PromoteResult:
    """Make a version that passed its gates the champion, at once or when a person approves.

    Args:
        version: The registered version; the challenger when left out.
        approval: auto, or manual: the run waits for a person's answer in the Prefect UI.
        reason: Why it is promoted, or why a person is asked.
        timeout_hours: How long a person has; no answer is a refusal.
    """
    from flows.promotion.deciding import by_itself, candidate
    from flows.promotion.registry import open_registry

    settings = load_settings()
    client = open_registry(settings)
    if approval == "manual":
        number, decision = _by_a_person(settings, client, version, reason.strip(), timedelta(hours=timeout_hours))
    else:
        number = candidate(client, version)
        decision = by_itself(client, number, reason.strip(), datetime.now(UTC))
    result = move_task(settings, number, decision)
    if result.moved:
        cards_tell(settings, result.version, result.previous)
    return result


def _by_a_person(
    settings: Settings, client: "MlflowClient", version: str | None, reason: str, timeout: timedelta
) -> "tuple[str, Decision]":
    """The version, and what a person decided about it.

    The first time this ends the process. Once answered, Prefect runs the flow again from the top, and it comes here
    knowing which version it asked about. The card tells that it was asked, and that it was refused.
    """
    from prefect.runtime import flow_run

    from flows.promotion.approval import answered, ask, requested_by, shown_to_the_person
    from flows.promotion.deciding import candidate, decided_before
    from flows.promotion.moving import passed_gates
    from flows.promotion.registry import champion_version, promotion_lock

    run = str(flow_run.id)
    number = requested_by(client, run)
    if number is None:
        number = candidate(client, version)
        if decision := decided_before(client, number):
            return number, decision
        _require_first_time(number)
        _require_resumable(number, timeout)
        gates = passed_gates(client, number, champion_version(client))
        with promotion_lock(settings):
            ask(client, number, gates, run, datetime.now(UTC), timeout)
        cards_tell(settings, number)
    answer = _answer(shown_to_the_person(client, number, reason), timeout)
    try:
        with promotion_lock(settings):
            return number, answered(client, number, answer, datetime.now(UTC))
    except PromotionRefusedError:
        cards_tell(settings, number)
        raise


def _answer(shown: str, timeout: timedelta) -> "Answer | None":
    """What a person entered; None when the run was resumed without."""
    from flows.promotion.approval import Answer

    form = Approval.with_initial_data(description=shown)
    try:
        given = suspend_flow_run(wait_for_input=form, timeout=int(timeout.total_seconds()), key=_ASKING)
    except ValidationError:
        return None
    return Answer(given.decision == "approve", given.approved_by.strip(), given.reason.strip())


def _require_resumable(version: str, timeout: timedelta) -> None:
    """Only a run of a deployment can be suspended: a worker takes it up again."""
    from prefect.runtime import deployment, flow_run

    about = f"{MODEL_NAME} version {version}"
    if timeout < timedelta(seconds=1):
        raise PromotionRefusedError(f"{about}: nobody can answer within {timeout}. Give timeout_hours above 0.")
    if not deployment.id or flow_run.parent_flow_run_id:
        raise PromotionRefusedError(
            f"{about} can wait for a person only in a run of the deployment, which a worker resumes: `prefect "
            f"deployment run promote/promote -p version='\"{version}\"' -p approval=manual` (README, Schedule)."
        )


def _require_first_time(version: str) -> None:
    """A resumed run that finds its request gone does not ask again: somebody asked after it."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context and context.flow_run and _ASKING in (context.flow_run.empirical_policy.pause_keys or set()):
        raise PromotionRefusedError(
            f"This run asks about {MODEL_NAME} version {version} no longer: a later request took its place. "
            "Answer that one."
        )


def _told(result: PromoteResult) -> str:
    from flows.promotion.settings import changed_told

    if not result.moved:
        return f"Version {result.version} is the {CHAMPION} already: nothing was decided, nobody was asked."
    before = f"after version {result.previous}" if result.previous else "the first"
    told = f"{CHAMPION} is version {result.version}, {before}."
    return " ".join(filter(None, [told, changed_told(result.thresholds), f"{result.who}: {result.why}"]))


def _show(result: PromoteResult) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(_told(result), markup=False)


if __name__ == "__main__":
    from flows.cli import run_flow

    run_flow(promote, show=_show)
