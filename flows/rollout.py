"""Rollout: from shadow over canary steps to champion, with automatic rollback. `python -m flows.rollout`."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from feature_repo.settings import Settings
from flows import configure
from flows._approval import ApprovalRequest, request_human_approval
from flows._cli import run_flow
from flows._rollout import APPROVAL_REASON, roll_out_version
from flows._tasks import open_model_registry
from holdfast.core.errors import ApprovalRefusedError
from holdfast.models.declaration import CHURN
from holdfast.reporting.flow_results import RolloutResult
from holdfast.rollout.settings import RolloutSettings
from holdfast.runtime.flow_runs import skipped_state
from holdfast.shared_state.work_locks import BusyError, work_lock

if TYPE_CHECKING:
    from holdfast.training.mlflow_client import ModelClient


_LOCK_SECONDS = 60.0  # for which an approved run waits for a scheduled run, which releases the lock within seconds


def _run_name() -> str:
    parameters = flow_run.parameters
    return f"rollout of {parameters.get('model', CHURN)} version {parameters.get('version') or '(the challenger)'}"


@flow(name="rollout", flow_run_name=_run_name, persist_result=False)
def rollout(
    version: str | None = None,
    approval: Literal["auto", "manual"] = "auto",
    rules: RolloutSettings | None = None,
    timeout_hours: float = 72,
    model: str = CHURN,
) -> RolloutResult:
    """Roll out the challenger from shadow over a growing share of the customers to champion; roll back on a breach.

    A killed rollout resumes first, with the rules of its start. Only one run of a model works at a time: a second run
    ends at once, or after a minute if a person has answered its approval request. The verdicts use the prediction log,
    which all replicas on one storage share, and /metrics of one replica, at HOLDFAST_SERVICE_URL.

    Args:
        version: The challenger's version number; the challenger when left out. A named version may be rolled out again.
        approval: auto, or manual: a person's approval is requested before the version scores any request. With
            HOLDFAST_FOUR_EYES always manual.
        rules: Steps, times and limits.
        timeout_hours: Hours for an answer; no answer is a refusal. Approval is requested again on the same evidence
            only for a named version.
        model: The model, as declared in feature_repo/models.
    """
    from holdfast.promotion.four_eyes import ApprovalSettings

    settings = configure()
    client = open_model_registry(settings, model)
    request = ApprovalRequest(
        approval == "manual" or ApprovalSettings.from_environment().four_eyes, timedelta(hours=timeout_hours)
    )
    request = _record_answer(settings, client, request)
    try:
        with work_lock(settings, f"rollout-{model}", _LOCK_SECONDS if request.requested else 0):
            result, reason = _roll_out_pending(settings, client, version, request, rules)
    except BusyError:
        result, reason = None, "Another run of this flow is active; that run, or the next one, handles new versions."
    if result is not None:
        return result
    get_run_logger().info("Nothing was done: %s", reason)
    nothing = RolloutResult(None, "nothing", reason)
    return nothing if request.requested else skipped_state(reason, nothing)  # an answer was recorded


def _roll_out_pending(
    settings: Settings,
    client: "ModelClient",
    version: str | None,
    request: ApprovalRequest,
    rules: RolloutSettings | None,
) -> tuple[RolloutResult | None, str]:
    """Roll out versions until none is left; return the last result, or None and the reason."""
    from holdfast.rollout.rollout_selection import NoPendingRollout, find_next_rollout

    done, named = None, version
    while not isinstance(pending := find_next_rollout(client, named, rules), NoPendingRollout):
        result = roll_out_version(settings, client, pending, replace(request, repeat=named is not None))
        named = None if pending.record is None or pending.version == version else named  # resumed rollouts go first
        get_run_logger().info(result.text)
        if result.version is None:
            return done, result.text
        done = result
        if request.required and pending.record is None:  # a run can request approval only once
            return done, result.text
    return done, pending.reason


def _record_answer(settings: Settings, client: "ModelClient", request: ApprovalRequest) -> ApprovalRequest:
    """Record the answer to the request of this run, if there is one, before the run selects a rollout.

    The answer is about the requested version, whatever the next version is by now.
    """
    from holdfast.promotion.approval import find_requested_version

    requested = find_requested_version(client, str(flow_run.id)) if request.required else None
    if requested is None:
        return request
    try:
        request_human_approval(settings, client, requested, APPROVAL_REASON, request.timeout)
    except ApprovalRefusedError as refused:
        get_run_logger().info(str(refused))  # recorded on the version; it ends the rollout as any refusal
    return replace(request, requested=requested)


if __name__ == "__main__":
    run_flow(rollout)
