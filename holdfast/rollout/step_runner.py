"""One rollout step, from its begin or the state that a killed run left, to its end."""

from dataclasses import replace
from datetime import datetime

from mlflow import MlflowClient

from feature_repo.settings import Settings
from holdfast.core.errors import TrafficError
from holdfast.model_versions.records import RolloutRecord, TrafficRecord
from holdfast.models.loaded_model import UnusableModelError
from holdfast.models.registered_version import NotServableError
from holdfast.rollout.model_pair import load_pair
from holdfast.rollout.registry_actions import begin_step, describe_traffic_override
from holdfast.rollout.service_metrics import ServiceState, select_counters
from holdfast.rollout.settings import RolloutSettings
from holdfast.rollout.step_monitor import StepDependencies, StepResult, monitor_step
from holdfast.rollout.steps import RolloutStep, step_of
from holdfast.rollout.work_queue import Work, interruption_reason

MAX_CLOCK_SKEW_SECONDS = 30.0  # seconds


def run_step(
    client: MlflowClient, settings: Settings, work: Work, rules: RolloutSettings, world: StepDependencies
) -> StepResult:
    """Run a step, or resume it with its start time and counters.

    The result is returned, not carried out: see :func:`holdfast.rollout.notifications.finish_step`. A retry of the same
    run
    after a registry outage resumes from the written record; a written verdict stays.

    Args:
        client: MLflow client.
        settings: Settings with registry and prediction log.
        work: The rollout.
        rules: Settings of a new rollout; a resumed rollout uses its own.
        world: Clock, pause, service and monitoring.

    Returns:
        Record of the ended step.
    """
    step = work.step(rules)
    assert step is not None
    if (written := _written_before(client, work, step, world.flow_run)) is not None:
        if written.verdict != "begun":
            return StepResult(written, None)
        work = work.after(written)
    state, now = world.look(), world.clock()
    record = _begun(work, step, rules, world.flow_run, state, now)
    seen = TrafficRecord.load(client, work.version)
    try:
        why = interruption_reason(client, work.version, record)
        if not why and work.record is not None:
            why = describe_traffic_override(client, work.version, step)
        if why:
            return _stopped(record, why, now)
        if why := _clocks_apart(step, state):
            raise TrafficError(why)
        pair = load_pair(client, settings, work.version, str(work.champion))
        if why := begin_step(client, settings, work.version, record, seen, now):
            return _stopped(record, why, now)
    except (TrafficError, NotServableError, UnusableModelError) as error:
        held = {"verdict": "stopped", "when": now, "why": str(error), "is_held": True, "base": {}}
        return StepResult(record.model_copy(update=held), None)
    outcome = monitor_step(client, settings, work.version, record, pair, world)
    return replace(outcome, record=outcome.record.model_copy(update={"flow_run": world.flow_run}))


def _stopped(record: RolloutRecord, why: str, now: datetime) -> StepResult:
    """Return the record of a step that an operator action stopped."""
    return StepResult(record.model_copy(update={"verdict": "stopped", "when": now, "why": why, "base": {}}), None)


def _written_before(client: MlflowClient, work: Work, step: RolloutStep, flow_run: str) -> RolloutRecord | None:
    """Return the record that an earlier attempt of this run wrote for the step; None without one."""
    latest = RolloutRecord.load(client, work.version)
    if latest is None or step_of(latest) != step or latest.gates != work.gates:
        return None
    return latest if work.record is not None or (flow_run and latest.flow_run == flow_run) else None


def _begun(
    work: Work, step: RolloutStep, rules: RolloutSettings, flow_run: str, state: ServiceState | None, now: datetime
) -> RolloutRecord:
    if work.record is not None and work.record.verdict == "begun":
        return work.record
    return RolloutRecord(
        step=step.name,
        share=step.share,
        begun=now,
        when=now,
        verdict="begun",
        champion=work.champion,
        gates=work.gates,
        flow_run=flow_run,
        rules=work.record.rules if work.record else rules.changed(),
        base=select_counters(state.counters, filter(None, (work.version, work.champion))) if state else {},
    )


def _clocks_apart(step: RolloutStep, state: ServiceState | None) -> str:
    """Why nothing can be tried out where the service's clock is another: a lease, and the log, are read by both."""
    if step.name == "watch" or state is None or abs(state.ahead_seconds) <= MAX_CLOCK_SKEW_SECONDS:
        return ""
    way = "ahead of" if state.ahead_seconds > 0 else "behind"
    return (
        f"the clock of the service is {abs(state.ahead_seconds):.0f} s {way} this machine's, "
        f"{MAX_CLOCK_SKEW_SECONDS:.0f} s are allowed: neither the end of its traffic nor its log could be "
        "told. Set both clocks (NTP)"
    )
