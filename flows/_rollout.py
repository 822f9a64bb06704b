"""Tasks of the rollout flow, and the rollout of one version."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect.runtime import flow_run

from feature_repo.settings import Settings
from flows._approval import ApprovalRequest, request_human_approval
from flows._artifacts import publish_table
from flows._tasks import open_model_registry, task
from flows.model_card import refresh_model_cards
from holdfast.core.errors import ApprovalRefusedError, PromotionRefusedError
from holdfast.model_versions.records import RolloutRecord
from holdfast.reporting.artifact_tables import guardrail_rows
from holdfast.reporting.flow_results import RolloutResult
from holdfast.rollout.service_metrics import read_service
from holdfast.runtime.endpoints import EndpointSettings, current_run_url

if TYPE_CHECKING:
    from holdfast.rollout.rollout_selection import PendingRollout
    from holdfast.training.mlflow_client import ModelClient

APPROVAL_REASON = (
    "The rollout sends a growing share of the customers to it first; without a breach it becomes the champion."
)


@task(task_run_name="{name}", retries=5, retry_delay_seconds=[5, 10, 20, 40, 60])
def step_task(settings: Settings, name: str, pending: "PendingRollout") -> RolloutRecord:
    """Run a step to its end and act on its verdict; retried where the registry does not respond, the step resumes."""
    from holdfast.monitoring.skew.findings import describe_open_skew
    from holdfast.rollout.notifications import finish_step, notify_unreachable
    from holdfast.rollout.step_monitor import StepDependencies
    from holdfast.rollout.step_runner import run_step

    client, url = open_model_registry(settings, pending.model), EndpointSettings.from_environment().service_url
    subject = pending.subject
    dependencies = StepDependencies(
        clock=lambda: datetime.now(UTC),
        sleep=time.sleep,
        read_service=lambda: read_service(url, pending.model),
        read_skew=lambda: describe_open_skew(settings),
        notify_unreachable=lambda is_down: notify_unreachable(settings, subject, url, is_down, datetime.now(UTC)),
        flow_run=str(flow_run.id or ""),
    )
    result = run_step(client, settings, pending, dependencies)
    finish_step(client, settings, pending.version, result.record, datetime.now(UTC), current_run_url())
    description = f"{subject.capitalize()}: {result.record.summary}"
    publish_table(guardrail_rows(result.guardrails), key="rollout", description=description)
    return result.record


@task(task_run_name="promote")
def promote_task(settings: Settings, pending: "PendingRollout", approval: bool) -> None:
    """Move the alias champion; with ``approval``, only on a person's approval of this version."""
    from holdfast.rollout.notifications import notify_promoted
    from holdfast.rollout.registry_actions import promote_challenger

    client, reason = open_model_registry(settings, pending.model), "passed every step of its rollout"
    promote_challenger(client, settings, pending, reason, datetime.now(UTC), approval)
    notify_promoted(pending.model, pending.version, pending.champion)


@task(task_run_name="end")
def end_task(settings: Settings, pending: "PendingRollout", reason: str = "") -> RolloutRecord:
    """End a rollout that cannot continue, or complete the end of a rollout that was killed there."""
    from holdfast.rollout.notifications import finish_step

    now = datetime.now(UTC)
    record = pending.end_record(reason, now)
    finish_step(open_model_registry(settings, pending.model), settings, pending.version, record, now, current_run_url())
    return record


def roll_out_version(
    settings: Settings, client: "ModelClient", pending: "PendingRollout", request: ApprovalRequest
) -> RolloutResult:
    """Roll out one version, from its first step or from the step where an earlier run was killed.

    Args:
        settings: Data folder.
        client: The registry.
        pending: The version, its champion, its latest record and its rules.
        request: Whether a person's approval is required.

    Returns:
        The result; without a version where the rollout has to wait for an approval.

    Raises:
        PromotionRefusedError: The version may not become the champion, and its rollout has not started.
    """
    from holdfast.rollout.rollout_selection import describe_pending_approval

    if pending.record is not None and not pending.record.is_open:
        return _finish(settings, pending, end_task(settings, pending))
    approval = request.required and pending.record is None  # a resumed rollout was started with an approval or without
    if pending.record is not None:  # the event of a killed step, before the record of the next step replaces it
        pending.record.append_event(client, pending.version)
    try:
        if pending.record is None:
            now = datetime.now(UTC)
            if waiting := describe_pending_approval(
                client, pending, request.required, request.requested, request.repeat, now
            ):
                return RolloutResult(None, "nothing", waiting)
            if request.required and request.requested is None:
                request_human_approval(settings, client, pending.version, APPROVAL_REASON, request.timeout)
            if pending.champion is None:
                promote_task(settings, pending, approval)
                refresh_model_cards(settings, pending.version, model=pending.model)
                text = f"{pending.subject.capitalize()} is the first champion."
                return RolloutResult(pending.version, "passed", text)
        while (step := pending.step) is not None:
            if pending.is_ready_for_promotion:
                promote_task(settings, pending, approval)
                refresh_model_cards(settings, pending.version, pending.champion, model=pending.model)
            pending = replace(pending, record=step_task(settings, f"version {pending.version}: {step.label}", pending))
    except PromotionRefusedError as refused:
        if pending.record is None and not isinstance(refused, ApprovalRefusedError):
            raise  # the rollout has not started, and no person has refused it
        pending = replace(pending, record=end_task(settings, pending, str(refused)))
    assert pending.record is not None
    return _finish(settings, pending, pending.record)


def _finish(settings: Settings, pending: "PendingRollout", record: RolloutRecord) -> RolloutResult:
    former = pending.champion if record.step == "watch" else None
    refresh_model_cards(settings, pending.version, former, model=pending.model)
    return RolloutResult(pending.version, record.verdict, f"{pending.subject.capitalize()}: {record.summary}.")  # type: ignore[arg-type]
