"""Run of one rollout step, from its start or from where an interrupted run left it, to its end."""

from dataclasses import replace
from datetime import datetime

from feature_repo.settings import Settings
from holdfast.core.errors import TrafficError
from holdfast.feature_store.missing_versions import MissingVersionError
from holdfast.model_versions.records import RolloutRecord, TrafficRecord
from holdfast.models.loaded_model import UnusableModelError
from holdfast.models.registered_version import NotServableError
from holdfast.rollout.model_pair import load_pair
from holdfast.rollout.registry_actions import begin_step, describe_traffic_override
from holdfast.rollout.rollout_selection import PendingRollout, interruption_reason
from holdfast.rollout.service_metrics import ServiceState, select_counters
from holdfast.rollout.step_monitor import StepDependencies, StepMonitor, StepResult
from holdfast.rollout.steps import RolloutStep, step_of, stop_record
from holdfast.training.mlflow_client import ModelClient

_MAX_CLOCK_SKEW_SECONDS = 30.0


def run_step(
    client: ModelClient, settings: Settings, pending: PendingRollout, dependencies: StepDependencies
) -> StepResult:
    """Begin or resume a step, and monitor it to its end; :func:`holdfast.rollout.notifications.finish_step` acts on it.

    A resumed step keeps its start and its counters, its traffic is set anew. If the same flow run retries after a loss
    of the registry, it resumes from its own record; a recorded end is final.

    Args:
        client: MLflow's client.
        settings: Settings of the feature store and the registry.
        pending: The rollout.
        dependencies: Clock, service and monitoring.

    Returns:
        The end of the step.
    """
    step = pending.step
    assert step is not None
    if (resumed := _find_resumable_record(client, pending, step, dependencies.flow_run)) is not None:
        if resumed.verdict != "begun":
            return StepResult(resumed)
        pending = replace(pending, record=resumed)
    service, now = dependencies.read_service(), dependencies.clock()
    record = _start_record(pending, step, dependencies.flow_run, service, now)
    known_traffic = TrafficRecord.load(client, pending.version)
    try:
        reason = interruption_reason(client, pending.version, record)
        if not reason and pending.record is not None:
            reason = describe_traffic_override(client, pending.version, step)
        if reason:
            return StepResult(stop_record(record, reason, now, is_held=False))
        _require_equal_clocks(step, service)
        pair = load_pair(client, settings, pending.version, str(pending.champion))
        if override := begin_step(client, settings, pending.version, record, known_traffic, now):
            return StepResult(stop_record(record, override, now, is_held=False))
    except (TrafficError, NotServableError, UnusableModelError, MissingVersionError) as error:
        return StepResult(stop_record(record, str(error), now, is_held=True))
    return StepMonitor(client, settings, pending.version, record, pair, dependencies).run()


def _find_resumable_record(
    client: ModelClient, pending: PendingRollout, step: RolloutStep, flow_run: str
) -> RolloutRecord | None:
    """Return the record that an earlier attempt of this flow run, or of this rollout, wrote for the step."""
    latest = RolloutRecord.load(client, pending.version)
    if latest is None or step_of(latest) != step or latest.gates != pending.gates:
        return None
    return latest if pending.record is not None or (flow_run and latest.flow_run == flow_run) else None


def _start_record(
    pending: PendingRollout, step: RolloutStep, flow_run: str, service: ServiceState | None, now: datetime
) -> RolloutRecord:
    if pending.record is not None and pending.record.verdict == "begun":
        return pending.record
    return RolloutRecord(
        step=step.name,
        share=step.share,
        started_at=now,
        when=now,
        verdict="begun",
        champion=pending.champion,
        gates=pending.gates,
        flow_run=flow_run,
        rules=pending.rules.non_defaults(),
        start_counters=select_counters(service.counters, (pending.version, str(pending.champion))) if service else {},
    )


def _require_equal_clocks(step: RolloutStep, service: ServiceState | None) -> None:
    """Refuse a service with another clock: service and worker compare the times of leases and of the log."""
    if step.name == "watch" or service is None or abs(service.clock_ahead_seconds) <= _MAX_CLOCK_SKEW_SECONDS:
        return
    direction = "ahead of" if service.clock_ahead_seconds > 0 else "behind"
    raise TrafficError(
        f"the clock of the service is {abs(service.clock_ahead_seconds):.0f} s {direction} this machine's, at most "
        f"{_MAX_CLOCK_SKEW_SECONDS:.0f} s are allowed: leases and log times would be wrong. Set both clocks (NTP)"
    )
