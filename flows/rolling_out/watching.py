"""Watches over a step until it has passed, is breached, or cannot go on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from mlflow import MlflowClient

from feature_repo.settings import Settings
from flows.promotion.records import RolloutRecord
from flows.rolling_out.answers import Answers, read_answers
from flows.rolling_out.counting import Counted
from flows.rolling_out.judge import Judgement, Seen, judge
from flows.rolling_out.moves import changed_by_hand, hold_on
from flows.rolling_out.pair import Pair
from flows.rolling_out.service_metrics import ServiceState
from flows.rolling_out.settings import RolloutSettings
from flows.rolling_out.sight import FLUSH, Sight
from flows.rolling_out.steps import is_half_gone, lease, rules_of, step_of
from flows.rolling_out.work import interruption

_REST = 10  # reading the log may take a tenth of the time,
_LONGEST_REST = timedelta(seconds=20)  # but where all is slow a breach is still to be seen within the minute
_SKEW = timedelta(minutes=1)  # from one look at what monitoring found to the next


@dataclass(frozen=True)
class Surroundings:
    """What a watch needs of the world: the time, a pause, a look at the service, and why skew is open.

    ``silent`` is called when the service has not answered for a while, and with False when it does again. ``flow_run``
    is who watches.
    """

    clock: Callable[[], datetime]
    sleep: Callable[[float], Any]
    look: Callable[[], ServiceState | None]
    skew: Callable[[], str | None]
    silent: Callable[[bool], Any]
    flow_run: str = ""


@dataclass(frozen=True)
class Outcome:
    """The record of how a step ended, and what it was judged by last."""

    record: RolloutRecord
    judgement: Judgement | None

    @property
    def table(self) -> list[dict[str, Any]]:
        """The figures, as a person reads them."""
        figures = self.judgement.figures if self.judgement else []
        return [
            {
                "figure": figure.name,
                "value": f"{figure.value:.4g}",
                "limit": f"{figure.limit:.4g}",
                "rows": figure.rows,
                "verdict": figure.verdict.upper() if figure.verdict == "breached" else figure.verdict,
                "about": figure.about,
            }
            for figure in figures
        ]


def watch(
    client: MlflowClient, settings: Settings, version: str, record: RolloutRecord, pair: Pair, world: Surroundings
) -> Outcome:
    """Look at the step that ``record`` has begun, again and again, and say how it ended; nothing is undone here.

    While the service does not answer, or the log does not hold what it scores, the lease of the traffic is not renewed:
    nobody is watching.
    """
    step, rules = step_of(record), rules_of(record)
    assert step is not None
    log = _Log(settings, version, step.route, pair, record.begun)
    until = lease(rules, world.clock())
    answered, told_silent = world.clock(), False
    skew, skew_read = None, None
    counted, sight = Counted(record, (version, str(record.champion))), Sight(world.clock())
    while True:
        now = world.clock()
        if why := interruption(client, version, record) or changed_by_hand(client, version, step):
            return Outcome(_ended(record, "stopped", now, log.answers, None, why), None)
        state = world.look()
        log.read(now)
        if state is not None:
            counted.look(state.counters, now)
            record = _noted(client, version, record, counted)
        if state is not None and log.is_fresh:
            sight.look(log.answers.requests, state.counters.get(f"scored:{version}:{step.route}", 0.0), now)
        if skew_read is None or now - skew_read >= _SKEW:
            skew, skew_read = world.skew(), now
        seen = Seen(
            step=step,
            version=version,
            champion=str(record.champion),
            answers=log.answers,
            tried=log.tried,
            champions=log.champions,
            state=state,
            base=counted.base,
            grown=counted.grown,
            lately=counted.lately,
            lasts_seconds=(now - record.begun).total_seconds(),
            skew=skew,
        )
        judgement = judge(seen, pair, rules)
        log.took(world.clock() - now)
        if judgement.verdict != "waits":
            verdict = "passed" if judgement.verdict == "passed" else "breached"
            return Outcome(_ended(record, verdict, world.clock(), log.answers, judgement, judgement.why), judgement)
        if why := _too_long(record, rules, judgement, sight, now):
            ended = _ended(record, "stopped", now, log.answers, judgement, why)
            return Outcome(ended.model_copy(update={"is_held": True}), judgement)
        if state is not None:
            answered = now
            if not sight.is_lost(now) and step.name != "watch" and is_half_gone(until, rules, now):
                until = hold_on(client, settings, version, step, rules, now) or until
        silent = now - answered > timedelta(minutes=rules.unreachable_minutes)
        if silent != told_silent:
            world.silent(silent)
            told_silent = silent
        world.sleep(rules.poll_seconds)


def _noted(client: MlflowClient, version: str, record: RolloutRecord, counted: Counted) -> RolloutRecord:
    """The record with what must not be lost when the run is killed: that the service was started again, for one."""
    noted = counted.in_record(record)
    if noted is not record:
        noted.write(client, version)
    return noted


def _too_long(record: RolloutRecord, rules: RolloutSettings, judgement: Judgement, sight: Sight, now: datetime) -> str:
    """Why nobody waits any longer; empty where somebody does."""
    if sight.lost_for(now) > max(timedelta(minutes=rules.unreachable_minutes), FLUSH):
        return (
            f"the service says that it scored {sight.unseen:.0f} customers by it of whom the prediction log holds "
            "none: is the log degraded, or in another folder than HOLDFAST_DATA of this machine?"
        )
    if now - record.begun > timedelta(hours=rules.max_hours):
        return f"no verdict within {rules.max_hours:g} hours: {judgement.why}"
    return ""


class _Log:
    """What the prediction log held when it was read last, and what both models say of it."""

    def __init__(self, settings: Settings, version: str, route: str, pair: Pair, since: datetime) -> None:
        self._settings, self._version, self._route, self._pair, self._since = settings, version, route, pair, since
        self._next: datetime | None = None
        self._read_at: datetime | None = None
        self.answers = Answers.none(len(pair.tried.contract.inputs))
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
        contract = self._pair.tried.contract
        self.answers = read_answers(self._settings, self._version, self._route, contract, self._since)
        self.tried, self.champions = self._pair.scores(self.answers.x)

    def took(self, time: timedelta) -> None:
        """How long the last look was."""
        if self._read_at is not None:
            self._next = self._read_at + max(time, min(time * _REST, _LONGEST_REST))


def _ended(
    record: RolloutRecord, verdict: str, now: datetime, answers: Answers | None, judgement: Judgement | None, why: str
) -> RolloutRecord:
    figures = (
        {figure.name: figure.value for figure in judgement.figures if figure.verdict != "unknown"} if judgement else {}
    )
    seen: dict[str, int] = {}
    if answers is not None:
        active = int(answers.active.sum())
        seen = {"requests": answers.judged, "customers": active, "others": len(answers.active) - active}
    changed = {"verdict": verdict, "when": now, "figures": figures, "why": why, "base": {}, "carried": {}}
    return record.model_copy(update=changed | seen)
