"""Monitoring of a rollout step until it has passed, is breached, or cannot go on."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

import numpy as np
from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.model_versions.aliases import is_retryable
from holdfast.model_versions.records import RolloutRecord
from holdfast.models.registry_client import fail_fast_env
from holdfast.promotion.challenger_traffic import extend_lease
from holdfast.rollout.challenger_predictions import ChallengerPredictions, IncrementalPredictions
from holdfast.rollout.counters import CounterTracker
from holdfast.rollout.guardrails import MIN_ROWS, Guardrail
from holdfast.rollout.model_pair import ChampionInputsError, ModelPair
from holdfast.rollout.registry_actions import describe_traffic_override
from holdfast.rollout.rollout_selection import interruption_reason
from holdfast.rollout.service_metrics import ServiceState
from holdfast.rollout.step_verdict import StepObservation, StepVerdict, evaluate_step
from holdfast.rollout.steps import settings_of, step_of
from holdfast.training.mlflow_client import ModelClient

_LOG = logging.getLogger(__name__)

_REST_RATIO = 10  # reading the log may take a tenth of the time,
_LONGEST_REST = timedelta(seconds=20)  # but on a slow machine a breach must still be found within a minute
_MAX_FLUSH_TIME = timedelta(seconds=30)  # far longer than a healthy service takes to write a scored request
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
        guardrails: Guardrails of the last verdict; empty if the step was not monitored.
    """

    record: RolloutRecord
    guardrails: Sequence[Guardrail] = ()


class StepMonitor:
    """Monitoring of a begun step; the end is not acted on here.

    While the service or the registry does not respond, or scored requests are missing in the log, the lease of the
    traffic is not renewed.

    Args:
        client: MLflow's client.
        settings: Settings with the folder of the prediction log.
        version: Version number.
        record: Record of the begun step.
        pair: Both models.
        dependencies: Clock, service and monitoring.
    """

    def __init__(
        self,
        client: ModelClient,
        settings: Settings,
        version: str,
        record: RolloutRecord,
        pair: ModelPair,
        dependencies: StepDependencies,
    ) -> None:
        step, now = step_of(record), dependencies.clock()
        assert step is not None
        self._rules = settings_of(record)
        self._client, self._settings, self._version = client, settings, version
        self._pair, self._dependencies, self._record, self._step = pair, dependencies, record, step
        self._lease_end = now + self._rules.lease
        contract = pair.challenger.contract
        self._log = IncrementalPredictions(settings, version, step.route, contract, record.started_at)
        self._scores = pair.score(self._log.predictions)  # none yet
        self._unknown_scores = ""
        self._counters, self._lag = CounterTracker(record, (version, str(record.champion))), _LogLag(now)
        self._skew: str | None = None
        self._skew_read_at: datetime | None = None
        self._next_log_read = self._last_response = now

    def run(self) -> StepResult:
        """Poll the step until its end.

        Returns:
            The end of the step.
        """
        dependencies, is_notified, is_registry_down = self._dependencies, False, False
        with fail_fast_env():
            while True:
                try:
                    if (result := self._poll(dependencies.clock())) is not None:
                        return result
                    is_registry_down = False
                except MlflowException as error:
                    if not is_retryable(error):
                        raise
                    if not is_registry_down:
                        _LOG.warning("The model registry does not respond, the rollout step waits: %s", error)
                    is_registry_down = True
                silence = dependencies.clock() - self._last_response  # of the service or the registry
                is_unreachable = silence > timedelta(minutes=self._rules.unreachable_minutes)
                if is_unreachable != is_notified:
                    dependencies.notify_unreachable(is_unreachable)
                    is_notified = is_unreachable
                dependencies.sleep(self._rules.poll_seconds)

    def _poll(self, now: datetime) -> StepResult | None:
        """Evaluate the step; None while it goes on. After an MlflowException the next poll catches up."""
        reason = interruption_reason(self._client, self._version, self._record)
        if reason := reason or describe_traffic_override(self._client, self._version, self._step):
            return self._end("stopped", now, (), reason)
        is_log_due = now >= self._next_log_read
        service = self._read(now, is_log_due)
        verdict = evaluate_step(self._observe(service, now), self._pair, self._rules)
        ended_at = self._dependencies.clock()
        if is_log_due:
            self._next_log_read = now + max(ended_at - now, min((ended_at - now) * _REST_RATIO, _LONGEST_REST))
        if verdict.status != "waits":
            return self._end(verdict.status, ended_at, verdict.guardrails, verdict.reason)
        is_compared = service is not None and is_log_due
        if reason := self._find_timeout(verdict, self._lag.stalled_for(now) if is_compared else timedelta(), now):
            return self._end("stopped", now, verdict.guardrails, reason, is_held=True)
        if service is not None:
            self._save_counters()
            self._renew_lease(now)
            self._last_response = now
        return None

    def _read(self, now: datetime, is_log_due: bool) -> ServiceState | None:
        """Read the service, the open skew and, unless reading would take most of the time, the prediction log."""
        service = self._dependencies.read_service()
        predictions = self._log.predictions
        if is_log_due and (self._log.read() is not predictions or self._unknown_scores):
            self._score(self._log.predictions)
        if service is not None:
            self._counters.update(service.counters, now)
            if is_log_due:
                scored = service.counters.get(f"scored:{self._version}:{self._step.route}", 0.0)
                self._lag.update(self._log.predictions.requests, scored, now)
        if self._skew_read_at is None or now - self._skew_read_at >= _SKEW_INTERVAL:
            self._skew, self._skew_read_at = self._dependencies.read_skew(), now
        return service

    def _score(self, predictions: ChallengerPredictions) -> None:
        """Score with both models; the step waits while the features of the champion cannot be read."""
        try:
            self._scores, self._unknown_scores = self._pair.score(predictions), ""
        except ChampionInputsError as error:
            if not self._unknown_scores:
                _LOG.warning("The rollout step waits: %s", error)
            self._scores = predictions.values, np.full(len(predictions.values), np.nan)
            self._unknown_scores = str(error)

    def _observe(self, service: ServiceState | None, now: datetime) -> StepObservation:
        challenger_scores, champion_scores = self._scores
        return StepObservation(
            step=self._step,
            version=self._version,
            champion=str(self._record.champion),
            predictions=self._log.predictions,
            challenger_scores=challenger_scores,
            champion_scores=champion_scores,
            service=service,
            start_counters=self._counters.start_counters,
            counters=self._counters.counters,
            recent_counters=self._counters.recent_counters,
            elapsed_seconds=(now - self._record.started_at).total_seconds(),
            skew=self._skew,
            unknown_scores=self._unknown_scores,
        )

    def _find_timeout(self, verdict: StepVerdict, stalled: timedelta, now: datetime) -> str | None:
        """Return why the step does not wait any longer; None while it waits."""
        if stalled > max(timedelta(minutes=self._rules.unreachable_minutes), _MAX_FLUSH_TIME):
            return (
                f"the service has scored {self._lag.missing_requests:.0f} customers by it that are missing in the "
                "prediction log: is the log degraded, or in another folder than HOLDFAST_DATA of this machine?"
            )
        if now - self._record.started_at > timedelta(hours=self._rules.max_hours):
            return f"no verdict within {self._rules.max_hours:g} hours: {verdict.reason}"
        return None

    def _save_counters(self) -> None:
        """Write the counters that a resumed run needs, such as those of a service that was restarted."""
        record = self._counters.update_record(self._record)
        if record is not self._record:
            record.write_tag(self._client, self._version)
            self._record = record

    def _renew_lease(self, now: datetime) -> None:
        """Renew the lease of the traffic, unless scored requests are missing in the log.

        The lease is renewed when less than half of its time is left, as a renewal writes to the registry.
        """
        is_due = self._lease_end - now < self._rules.lease / 2
        if self._step.name == "watch" or not is_due or self._lag.stalled_for(now) > _MAX_FLUSH_TIME:
            return
        until = now + self._rules.lease
        if extend_lease(self._client, self._settings, self._version, self._step.traffic(until)):
            self._lease_end = until

    def _end(
        self, status: str, now: datetime, guardrails: Sequence[Guardrail], reason: str, is_held: bool = False
    ) -> StepResult:
        predictions = self._log.predictions
        active = int(predictions.active.sum())
        values = {one.name: one.value for one in guardrails if one.verdict != "unknown"}
        changed = {
            "verdict": status,
            "when": now,
            "guardrail_values": {name: value for name, value in values.items() if isfinite(value)},  # as JSON requires
            "why": reason,
            "is_held": is_held,
            "flow_run": self._dependencies.flow_run,
            "start_counters": {},
            "restart_counters": {},
            "requests": predictions.active_requests,
            "customers": active,
            "inactive_customers": len(predictions.active) - active,
        }
        return StepResult(self._record.model_copy(update=changed), guardrails)


class _LogLag:
    """Lag of the prediction log behind the service; requests that are not logged cannot be evaluated.

    Attributes:
        missing_requests: Requests that the service scored since the log last grew.
    """

    def __init__(self, now: datetime) -> None:
        self._logged, self._scored, self._last_complete = 0, -1.0, now
        self.missing_requests = 0.0

    def update(self, logged: int, scored: float, now: datetime) -> None:
        """Add a poll: requests in the log, and requests that the service has counted since its start."""
        if logged > self._logged or not 0 <= self._scored <= scored:
            self._logged, self._scored = logged, scored
        self.missing_requests = scored - self._scored
        if self.missing_requests < MIN_ROWS:
            self._last_complete = now

    def stalled_for(self, now: datetime) -> timedelta:
        """Return the time since the log last held all scored requests; zero if at most a few are missing."""
        return now - self._last_complete if self.missing_requests >= MIN_ROWS else timedelta()
