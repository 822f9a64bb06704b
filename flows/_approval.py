"""Asking a person, in the run of a flow: the form in the Prefect UI, the run that waits for it, and the answer."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field, ValidationError

from feature_repo.settings import Settings
from flows.model_card import refresh_model_cards
from holdfast.core.errors import PromotionRefusedError
from holdfast.models.contract import MODEL_NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from holdfast.promotion.approval import ApprovalAnswer
    from holdfast.promotion.champion_update import PromotionDecision

_ASKING = "approval"  # the name of the one place where a run is suspended


class Approval(RunInput):
    """The form in the Prefect UI."""

    decision: Literal["approve", "refuse"] = Field(description="Refuse, and the champion stays.")
    approved_by: str = Field(pattern=r"\S", description="Your name: it stays on the version.")
    reason: str = Field(pattern=r"\S", description="Why, in a sentence: it stays on the version.")


def request_human_approval(
    settings: Settings, client: "MlflowClient", version: str | None, reason: str, timeout: timedelta, deployment: str
) -> "tuple[str, PromotionDecision]":
    """The version, and what a person decided about it. ``deployment`` is whose run this is.

    The first time this ends the process. Once answered, Prefect runs the flow again from the top, and it comes here
    knowing which version it asked about. The card tells that it was asked, and that it was refused.
    """
    from prefect.runtime import flow_run

    from holdfast.model_versions.aliases import get_champion_version, promotion_lock
    from holdfast.promotion.approval import find_requested_version, record_answer, render_request, request_approval
    from holdfast.promotion.champion_update import require_passed_gates
    from holdfast.promotion.decision import find_previous_decision, resolve_candidate

    run = str(flow_run.id)
    number = find_requested_version(client, run)
    if number is None:
        number = resolve_candidate(client, version)
        if decision := find_previous_decision(client, number):
            return number, decision
        _require_first_time(number)
        _require_resumable(number, timeout, deployment)
        gates = require_passed_gates(client, number, get_champion_version(client))
        with promotion_lock(settings):
            request_approval(client, number, gates, run, datetime.now(UTC), timeout)
        refresh_model_cards(settings, number)
    answer = _answer(render_request(client, number, reason), timeout)
    try:
        with promotion_lock(settings):
            return number, record_answer(client, number, answer, datetime.now(UTC))
    except PromotionRefusedError:
        refresh_model_cards(settings, number)
        raise


def _answer(shown: str, timeout: timedelta) -> "ApprovalAnswer | None":
    """What a person entered; None when the run was resumed without."""
    from holdfast.promotion.approval import ApprovalAnswer

    form = Approval.with_initial_data(description=shown)
    try:
        given = suspend_flow_run(wait_for_input=form, timeout=int(timeout.total_seconds()), key=_ASKING)
    except ValidationError:
        return None
    return ApprovalAnswer(given.decision == "approve", given.approved_by.strip(), given.reason.strip())


def _require_resumable(version: str, timeout: timedelta, name: str) -> None:
    """Only a run of a deployment can be suspended: a worker takes it up again."""
    from prefect.runtime import deployment, flow_run

    about = f"{MODEL_NAME} version {version}"
    if timeout < timedelta(seconds=1):
        raise PromotionRefusedError(f"{about}: nobody can answer within {timeout}. Give timeout_hours above 0.")
    if not deployment.id or flow_run.parent_flow_run_id:
        raise PromotionRefusedError(
            f"{about} can wait for a person only in a run of the deployment, which a worker resumes: `prefect "
            f"deployment run {name} -p version='\"{version}\"' -p approval=manual` (README, Schedule)."
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
