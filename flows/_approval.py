"""Human approval in a flow run: form in the Prefect UI, suspension of the run, and recorded answer."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field, ValidationError

from feature_repo.settings import Settings
from flows.model_card import refresh_model_cards
from holdfast.core.errors import PromotionRefusedError
from holdfast.models.declaration import declared_name

if TYPE_CHECKING:
    from holdfast.promotion.approval import ApprovalAnswer
    from holdfast.promotion.champion_update import PromotionDecision
    from holdfast.training.mlflow_client import ModelClient

_PAUSE_KEY = "approval"


@dataclass(frozen=True)
class ApprovalRequest:
    """Requirements for the approval of a rollout.

    Attributes:
        required: Whether a person's approval is required.
        timeout: Time for an answer.
        requested: The version for which this run has requested approval.
        repeat: Request approval again where an earlier request on the same evidence was refused.
    """

    required: bool
    timeout: timedelta
    requested: str | None = None
    repeat: bool = False


class Approval(RunInput):
    """Form of an approval in the Prefect UI."""

    decision: Literal["approve", "refuse"] = Field(description="If refused, the champion is unchanged.")
    approved_by: str = Field(
        pattern=r"\S", description="Your name. Without a signature it is recorded on the version as claimed."
    )
    reason: str = Field(pattern=r"\S", description="The reason in a sentence, recorded on the version.")
    signature: str = Field(default="", description="Your signature, where the text above asks for it.")


def request_human_approval(
    settings: Settings, client: "ModelClient", version: str | None, reason: str, timeout: timedelta
) -> "tuple[str, PromotionDecision]":
    """Request a person's approval of a version, and return the decision once there is one.

    The request suspends the run and ends the process. After the answer Prefect runs the flow again from its start; the
    version that was requested is then read from the registry. Request and refusal are on the model card.

    Args:
        settings: Data folder.
        client: The registry.
        version: The version; the challenger for None.
        reason: Why approval is requested, shown in the form.
        timeout: Time for an answer; no answer is a refusal.

    Returns:
        The version and the decision about it.

    Raises:
        PromotionRefusedError: The version cannot be promoted, the run cannot be suspended, or approval was refused.
    """
    from holdfast.model_versions.aliases import get_champion_version, promotion_lock
    from holdfast.promotion.approval import find_requested_version, record_answer, render_request, request_approval
    from holdfast.promotion.champion_update import require_passed_gates
    from holdfast.promotion.decision import find_previous_decision, resolve_candidate

    run_id = str(flow_run.id)
    number = find_requested_version(client, run_id)
    if number is None:
        number = resolve_candidate(client, version)
        if decision := find_previous_decision(client, number):
            return number, decision
        _require_no_earlier_request(f"{client.model_name} version {number}")
        _require_resumable(client.model_name, number, timeout)
        gates = require_passed_gates(client, number, get_champion_version(client))
        with promotion_lock(settings):
            request_approval(client, number, gates, run_id, datetime.now(UTC), timeout)
        refresh_model_cards(settings, number, model=declared_name(client.model_name))
    answer = _suspend_for_answer(render_request(client, number, reason), timeout)
    try:
        with promotion_lock(settings):
            return number, record_answer(client, number, answer, datetime.now(UTC))
    except PromotionRefusedError:
        refresh_model_cards(settings, number, model=declared_name(client.model_name))
        raise


def _suspend_for_answer(description: str, timeout: timedelta) -> "ApprovalAnswer | None":
    """Suspend the run until the form is filled in; None where the run was resumed without an answer."""
    from holdfast.promotion.approval import ApprovalAnswer

    form = Approval.with_initial_data(description=description)
    try:
        answer = suspend_flow_run(wait_for_input=form, timeout=int(timeout.total_seconds()), key=_PAUSE_KEY)
    except ValidationError:
        return None
    is_approval = answer.decision == "approve"
    return ApprovalAnswer(is_approval, answer.approved_by.strip(), answer.reason.strip(), answer.signature.strip())


def _require_resumable(model_name: str, version: str, timeout: timedelta) -> None:
    """Refuse runs that cannot be suspended: only the run of a deployment is resumed, by a worker."""
    model = f"{model_name} version {version}"
    if timeout < timedelta(seconds=1):
        raise PromotionRefusedError(f"{model}: no answer is possible within {timeout}. Give timeout_hours above 0.")
    if not deployment.id or flow_run.parent_flow_run_id:
        name = f"{flow_run.flow_name}/{flow_run.flow_name}"  # a deployment has the name of its flow
        raise PromotionRefusedError(
            f"{model} can wait for approval only in a run of the deployment, which a worker resumes: `prefect "
            f"deployment run {name} -p version='\"{version}\"' -p approval=manual` (README, Approval)."
        )


def _require_no_earlier_request(about: str) -> None:
    """Refuse a resumed run whose request was replaced by a later request."""
    context = FlowRunContext.get()
    if context and context.flow_run and _PAUSE_KEY in (context.flow_run.empirical_policy.pause_keys or set()):
        raise PromotionRefusedError(
            f"The approval of {about} requested by this run was replaced by a later request. Answer the later one."
        )
