"""Monitoring of a rollout step until it passes, is breached, or stops."""

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

_REST = 10  # reading the log may take a tenth of the time,
_LONGEST_REST = timedelta(seconds=20)  # but where all is slow a breach is still to be seen within the minute
_SKEW = timedelta(minutes=1)  # from one look at what monitoring found to the next


@dataclass(frozen=True)
class StepDependencies:
    """What a watch needs of the world: the time, a pause, a look at the service, and why skew is open.

    ``silent`` is called when the service or the registry has not answered for a while, and with False when both do
    again. ``flow_run`` is who watches.
    """

    clock: Callable[[], datetime]
    sleep: Callable[[float], Any]
    look: Callable[[], ServiceState | None]
    skew: Callable[[], str | None]
    silent: Callable[[bool], Any]
    flow_run: str = ""


@dataclass(frozen=True)
class StepResult:
    """Record of an ended step with its last verdict."""

    record: RolloutRecord
    judgement: StepVerdict | None

    @property
    def table(self) -> list[dict[str, Any]]:
        """Return the guardrails as table rows."""
        figures = self.judgement.figures if self.judgement else []
        return [
            {
                "figure": figure.name,
                "value": f"{figure.value:.4g}",
                "limit": f"{figure.limit:.4g}",
                "rows": figure.rows,
                "verdict": figure.verdict.upper() if figure.verdict == "breached" else figure.verdict,
                "about": figure.description,
            }
            for figure in figures
        ]


def monitor_step(
    client: MlflowClient,
    settings: Settings,
    version: str,
    record: RolloutRecord,
    pair: ModelPair,
    world: StepDependencies,
) -> StepResult:
    """Look at the step that ``record`` has begun, again and again, and say how it ended; nothing is undone here.

    While the service or the registry does not answer, or the log does not hold what the service scores, the lease of
    the traffic is not renewed: nobody is watching.
    """
    watched, told_blind, is_away = _Watch(client, settings, version, record, pair, world), False, False
    with fail_fast_env():
        while True:
            now = world.clock()
            try:
                if (outcome := watched.look(now)) is not None:
                    return outcome
                is_away = False
            except MlflowException as error:
                if not is_retryable(error):
                    raise
                if not is_away:
                    _log.warning("The model registry does not answer, and nothing is judged until it does: %s", error)
                is_away = True
            blind = watched.blind_for(world.clock()) > timedelta(minutes=watched.rules.unreachable_minutes)
            if blind != told_blind:
                world.silent(blind)
                told_blind = blind
            world.sleep(watched.rules.poll_seconds)


class _Watch:
    """State of a step between two polls."""

    def __init__(
        self,
        client: MlflowClient,
        settings: Settings,
        version: str,
        record: RolloutRecord,
        pair: ModelPair,
        world: StepDependencies,
    ) -> None:
        step, now = step_of(record), world.clock()
        assert step is not None
        self.rules = settings_of(record)
        self._client, self._settings, self._version, self._pair, self._world = client, settings, version, pair, world
        self._record, self._step = record, step
        self._until = lease_end(self.rules, now)
        self._log = _Log(settings, version, step.route, pair, record.begun)
        self._counted, self._sight = CounterTracker(record, (version, str(record.champion))), LogLag(now)
        self._skew: str | None = None
        self._skew_read: datetime | None = None
        self._saw = now

    def blind_for(self, now: datetime) -> timedelta:
        """For how long the service, or the registry, has not answered."""
        return now - self._saw

    def look(self, now: datetime) -> StepResult | None:
        """How the step ended, None where it goes on.

        Raises:
            MlflowException: The registry does not answer. The look that follows makes up for what this one has missed.
        """
        version, step, record = self._version, self._step, self._record
        if why := interruption_reason(self._client, version, record) or describe_traffic_override(
            self._client, version, step
        ):
            return StepResult(_ended(record, "stopped", now, self._log.answers, None, why), None)
        state = self._see(now)
        judgement = evaluate_step(self._seen(state, now), self._pair, self.rules)
        self._log.took(self._world.clock() - now)
        if judgement.verdict != "waits":
            verdict, ended = judgement.verdict, self._world.clock()
            return StepResult(_ended(record, verdict, ended, self._log.answers, judgement, judgement.why), judgement)
        lost = self._sight.lost_for(now) if state is not None and self._log.is_fresh else timedelta()
        if why := _too_long(record, self.rules, judgement, lost, self._sight.unseen, now):
            held = _ended(record, "stopped", now, self._log.answers, judgement, why)
            return StepResult(held.model_copy(update={"is_held": True}), judgement)
        if state is not None:
            self._remember()
            self._hold_on(now)
            self._saw = now
        return None

    def _see(self, now: datetime) -> ServiceState | None:
        """Look at the service, the log and what monitoring found."""
        state = self._world.look()
        self._log.read(now)
        if state is not None:
            self._counted.look(state.counters, now)
        if state is not None and self._log.is_fresh:
            scored = state.counters.get(f"scored:{self._version}:{self._step.route}", 0.0)
            self._sight.look(self._log.answers.requests, scored, now)
        if self._skew_read is None or now - self._skew_read >= _SKEW:
            self._skew, self._skew_read = self._world.skew(), now
        return state

    def _seen(self, state: ServiceState | None, now: datetime) -> StepObservation:
        return StepObservation(
            step=self._step,
            version=self._version,
            champion=str(self._record.champion),
            answers=self._log.answers,
            tried=self._log.tried,
            champions=self._log.champions,
            state=state,
            base=self._counted.base,
            grown=self._counted.grown,
            lately=self._counted.lately,
            lasts_seconds=(now - self._record.begun).total_seconds(),
            skew=self._skew,
        )

    def _remember(self) -> None:
        """Write what must not be lost when the run is killed: that the service was started again, for one."""
        noted = self._counted.in_record(self._record)
        if noted is not self._record:
            noted.write_tag(self._client, self._version)
            self._record = noted

    def _hold_on(self, now: datetime) -> None:
        """Let the traffic have its lease for longer, where what it scores is seen."""
        if self._sight.is_lost(now) or self._step.name == "watch" or not needs_renewal(self._until, self.rules, now):
            return
        until = extend_step(self._client, self._settings, self._version, self._step, self.rules, now)
        self._until = until or self._until


def _too_long(
    record: RolloutRecord, rules: RolloutSettings, judgement: StepVerdict, lost: timedelta, unseen: float, now: datetime
) -> str:
    """Why nobody waits any longer; empty where somebody does."""
    if lost > max(timedelta(minutes=rules.unreachable_minutes), MAX_FLUSH_TIME):
        return (
            f"the service says that it scored {unseen:.0f} customers by it of whom the prediction log holds "
            "none: is the log degraded, or in another folder than HOLDFAST_DATA of this machine?"
        )
    if now - record.begun > timedelta(hours=rules.max_hours):
        return f"no verdict within {rules.max_hours:g} hours: {judgement.why}"
    return ""


class _Log:
    """Predictions of the step with the scores of both models."""

    def __init__(self, settings: Settings, version: str, route: str, pair: ModelPair, since: datetime) -> None:
        self._pair, self._read = pair, IncrementalPredictions(settings, version, route, pair.tried.contract, since).read
        self._next: datetime | None = None
        self._read_at: datetime | None = None
        self.answers = ChallengerPredictions.none(len(pair.tried.contract.inputs))
        self.tried, self.champions = np.empty(0), np.empty(0)

    @property
    def is_fresh(self) -> bool:
        """Whether this look has read it."""
        return self._read_at is not None

    def read(self, now: datetime) -> None:
        """Read it, unless the last time was so long that it would do little else."""
        if self._next is not None and now < self._next:
            self._read_at = None
            return
        self._read_at = now
        answers = self._read()
        if answers is not self.answers:
            self.answers = answers
            self.tried, self.champions = self._pair.scores(answers.x)

    def took(self, time: timedelta) -> None:
        """How long the last look was."""
        if self._read_at is not None:
            self._next = self._read_at + max(time, min(time * _REST, _LONGEST_REST))


def _ended(
    record: RolloutRecord,
    verdict: str,
    now: datetime,
    answers: ChallengerPredictions | None,
    judgement: StepVerdict | None,
    why: str,
) -> RolloutRecord:
    judged = [figure for figure in judgement.figures if figure.verdict != "unknown"] if judgement else []
    figures = {figure.name: figure.value for figure in judged if isfinite(figure.value)}  # JSON has no others
    seen: dict[str, int] = {}
    if answers is not None:
        active = int(answers.active.sum())
        seen = {"requests": answers.judged, "customers": active, "others": len(answers.active) - active}
    changed = {"verdict": verdict, "when": now, "figures": figures, "why": why, "base": {}, "carried": {}}
    return record.model_copy(update=changed | seen)
