"""Monitoring of a rollout step until it has passed, is breached, or cannot go on."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.model_versions.aliases import is_retryable
from holdfast.model_versions.records import RolloutRecord
from holdfast.models.registry_client import fail_fast_env
from holdfast.rollout.challenger_predictions import ChallengerPredictions, IncrementalPredictions
from holdfast.rollout.counters import CounterTracker
from holdfast.rollout.log_lag import MAX_FLUSH_TIME, LogLag
from holdfast.rollout.model_pair import ModelPair
from holdfast.rollout.registry_actions import describe_traffic_override, extend_step
from holdfast.rollout.service_metrics import ServiceState
from holdfast.rollout.settings import RolloutSettings
from holdfast.rollout.step_verdict import StepObservation, StepVerdict, evaluate_step
from holdfast.rollout.steps import lease_end, needs_renewal, settings_of, step_of
from holdfast.rollout.work_queue import interruption_reason

_log = logging.getLogger(__name__)

_REST_RATIO = 10  # reading the log may take a tenth of the time,
_LONGEST_REST = timedelta(seconds=20)  # but on a slow machine a breach must still be found within a minute
_SKEW_INTERVAL = timedelta(minutes=1)  # between two reads of the open findings


@dataclass(frozen=True)
class StepDependencies:
    """Clock, service and monitoring of a step.

    Attributes:
        clock: Returns the time (UTC).
        sleep: Waits for some seconds.
        read_service: Returns the state of the service; None if it does not respond.
        read_skew: Returns a description of an open skew, or None.
        notify_unreachable: Called with True if the service or the registry has not responded for a while, and with
            False once both respond again.
        flow_run: Id of the flow run.
    """

    clock: Callable[[], datetime]
    sleep: Callable[[float], Any]
    read_service: Callable[[], ServiceState | None]
    read_skew: Callable[[], str | None]
    notify_unreachable: Callable[[bool], Any]
    flow_run: str = ""


@dataclass(frozen=True)
class StepResult:
    """End of a step.

    Attributes:
        record: Record of the end.
        verdict: The last verdict; None if the step was not monitored.
    """

    record: RolloutRecord
    verdict: StepVerdict | None

    @property
    def table(self) -> list[dict[str, Any]]:
        """Return the guardrails as rows of a table."""
        return [
            {
                "guardrail": guardrail.name,
                "value": f"{guardrail.value:.4g}",
                "limit": f"{guardrail.limit:.4g}",
                "rows": guardrail.rows,
                "verdict": guardrail.verdict.upper() if guardrail.verdict == "breached" else guardrail.verdict,
                "description": guardrail.description,
            }
            for guardrail in (self.verdict.guardrails if self.verdict else [])
        ]


def monitor_step(
    client: MlflowClient,
    settings: Settings,
    version: str,
    record: RolloutRecord,
    pair: ModelPair,
    dependencies: StepDependencies,
) -> StepResult:
    """Poll a begun step until its end; the end is not acted on here.

    While the service or the registry does not respond, or scored requests are missing in the log, the lease of the
    traffic is not renewed.

    Args:
        client: MLflow's client.
        settings: Settings with the folder of the prediction log.
        version: Version number.
        record: Record of the begun step.
        pair: Both models.
        dependencies: Clock, service and monitoring.

    Returns:
        The end of the step.
    """
    monitor = _StepMonitor(client, settings, version, record, pair, dependencies)
    is_notified, is_registry_down = False, False
    with fail_fast_env():
        while True:
            now = dependencies.clock()
            try:
                if (result := monitor.poll(now)) is not None:
                    return result
                is_registry_down = False
            except MlflowException as error:
                if not is_retryable(error):
                    raise
                if not is_registry_down:
                    _log.warning("The model registry does not respond, the rollout step waits: %s", error)
                is_registry_down = True
            silence = monitor.time_without_metrics(dependencies.clock())
            is_unreachable = silence > timedelta(minutes=monitor.rules.unreachable_minutes)
            if is_unreachable != is_notified:
                dependencies.notify_unreachable(is_unreachable)
                is_notified = is_unreachable
            dependencies.sleep(monitor.rules.poll_seconds)


class _StepMonitor:
    """State of a step between two polls."""

    def __init__(
        self,
        client: MlflowClient,
        settings: Settings,
        version: str,
        record: RolloutRecord,
        pair: ModelPair,
        dependencies: StepDependencies,
    ) -> None:
        step, now = step_of(record), dependencies.clock()
        assert step is not None
        self.rules = settings_of(record)
        self._client, self._settings, self._version = client, settings, version
        self._pair, self._dependencies, self._record, self._step = pair, dependencies, record, step
        self._lease_end = lease_end(self.rules, now)
        self._log = _PredictionLog(settings, version, step.route, pair, record.started_at)
        self._counters, self._lag = CounterTracker(record, (version, str(record.champion))), LogLag(now)
        self._skew: str | None = None
        self._skew_read_at: datetime | None = None
        self._last_response = now

    def time_without_metrics(self, now: datetime) -> timedelta:
        """Return the time since both the service and the registry last responded."""
        return now - self._last_response

    def poll(self, now: datetime) -> StepResult | None:
        """Evaluate the step; None while it goes on.

        Raises:
            MlflowException: The registry does not respond. The next poll catches up.
        """
        version, step, record = self._version, self._step, self._record
        reason = interruption_reason(self._client, version, record)
        if reason := reason or describe_traffic_override(self._client, version, step):
            return StepResult(_end_record(record, "stopped", now, self._log.predictions, None, reason), None)
        service = self._read(now)
        verdict = evaluate_step(self._observe(service, now), self._pair, self.rules)
        self._log.set_poll_duration(self._dependencies.clock() - now)
        if verdict.status != "waits":
            ended_at, predictions = self._dependencies.clock(), self._log.predictions
            ended = _end_record(record, verdict.status, ended_at, predictions, verdict, verdict.reason)
            return StepResult(ended, verdict)
        stalled = self._lag.stalled_for(now) if service is not None and self._log.is_fresh else timedelta()
        missing = self._lag.missing_requests
        if reason := _find_timeout(record, self.rules, verdict, stalled, missing, now):
            held = _end_record(record, "stopped", now, self._log.predictions, verdict, reason)
            return StepResult(held.model_copy(update={"is_held": True}), verdict)
        if service is not None:
            self._save_counters()
            self._renew_lease(now)
            self._last_response = now
        return None

    def _read(self, now: datetime) -> ServiceState | None:
        """Read the service, the prediction log and the open skew."""
        service = self._dependencies.read_service()
        self._log.read(now)
        if service is not None:
            self._counters.update(service.counters, now)
            if self._log.is_fresh:
                scored = service.counters.get(f"scored:{self._version}:{self._step.route}", 0.0)
                self._lag.update(self._log.predictions.requests, scored, now)
        if self._skew_read_at is None or now - self._skew_read_at >= _SKEW_INTERVAL:
            self._skew, self._skew_read_at = self._dependencies.read_skew(), now
        return service

    def _observe(self, service: ServiceState | None, now: datetime) -> StepObservation:
        return StepObservation(
            step=self._step,
            version=self._version,
            champion=str(self._record.champion),
            predictions=self._log.predictions,
            challenger_scores=self._log.challenger_scores,
            champion_scores=self._log.champion_scores,
            service=service,
            start_counters=self._counters.start_counters,
            counters=self._counters.counters,
            recent_counters=self._counters.recent_counters,
            elapsed_seconds=(now - self._record.started_at).total_seconds(),
            skew=self._skew,
        )

    def _save_counters(self) -> None:
        """Write the counters that a resumed run needs, such as those of a service that was restarted."""
        record = self._counters.update_record(self._record)
        if record is not self._record:
            record.write_tag(self._client, self._version)
            self._record = record

    def _renew_lease(self, now: datetime) -> None:
        """Renew the lease of the traffic, unless scored requests are missing in the log."""
        is_due = self._step.name != "watch" and needs_renewal(self._lease_end, self.rules, now)
        if is_due and not self._lag.is_stalled(now):
            until = extend_step(self._client, self._settings, self._version, self._step, self.rules, now)
            self._lease_end = until or self._lease_end


def _find_timeout(
    record: RolloutRecord,
    rules: RolloutSettings,
    verdict: StepVerdict,
    stalled: timedelta,
    missing_requests: float,
    now: datetime,
) -> str | None:
    """Return why the step does not wait any longer; None while it waits."""
    if stalled > max(timedelta(minutes=rules.unreachable_minutes), MAX_FLUSH_TIME):
        return (
            f"the service has scored {missing_requests:.0f} customers by it that are missing in the prediction log: is "
            "the log degraded, or in another folder than HOLDFAST_DATA of this machine?"
        )
    if now - record.started_at > timedelta(hours=rules.max_hours):
        return f"no verdict within {rules.max_hours:g} hours: {verdict.reason}"
    return None


class _PredictionLog:
    """Predictions of the step at the last read, and both registered models' scores of their inputs."""

    def __init__(self, settings: Settings, version: str, route: str, pair: ModelPair, since: datetime) -> None:
        contract = pair.challenger.contract
        self._pair, self._reader = pair, IncrementalPredictions(settings, version, route, contract, since)
        self._next_read: datetime | None = None
        self._read_at: datetime | None = None
        self.predictions = ChallengerPredictions.empty(len(contract.inputs))
        self.challenger_scores, self.champion_scores = np.empty(0), np.empty(0)

    @property
    def is_fresh(self) -> bool:
        """Return True if the current poll has read the log."""
        return self._read_at is not None

    def read(self, now: datetime) -> None:
        """Read the log, unless the last poll took so long that reading would take most of the time."""
        if self._next_read is not None and now < self._next_read:
            self._read_at = None
            return
        self._read_at = now
        predictions = self._reader.read()
        if predictions is not self.predictions:
            self.predictions = predictions
            self.challenger_scores, self.champion_scores = self._pair.score(predictions.x)

    def set_poll_duration(self, duration: timedelta) -> None:
        """Compute the time of the next read from the duration of this poll."""
        if self._read_at is not None:
            self._next_read = self._read_at + max(duration, min(duration * _REST_RATIO, _LONGEST_REST))


def _end_record(
    record: RolloutRecord,
    status: str,
    now: datetime,
    predictions: ChallengerPredictions,
    verdict: StepVerdict | None,
    reason: str,
) -> RolloutRecord:
    known = [one for one in verdict.guardrails if one.verdict != "unknown"] if verdict else []
    active = int(predictions.active.sum())
    return record.model_copy(
        update={
            "verdict": status,
            "when": now,
            "guardrail_values": {one.name: one.value for one in known if isfinite(one.value)},  # JSON has no others
            "why": reason,
            "start_counters": {},
            "restart_counters": {},
            "requests": predictions.active_requests,
            "customers": active,
            "inactive_customers": len(predictions.active) - active,
        }
    )
