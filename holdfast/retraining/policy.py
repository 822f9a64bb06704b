"""Retraining policy: persistent findings, cool-down, limit per day."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from holdfast.core.formatting import format_count
from holdfast.models.declaration import CHURN
from holdfast.retraining.settings import RetrainingRules

Reason = Literal["holdfast.drift.detected", "holdfast.quality.dropped"]
"""Findings that can start a retraining. Skew cannot: serving does not read the values of training then."""


@dataclass(frozen=True)
class Signal:
    """Findings of one kind in one monitoring window.

    Attributes:
        event: Kind of the findings.
        as_of: End of the window.
        subjects: Subjects of the findings; empty without one.
    """

    event: Reason
    as_of: datetime
    subjects: frozenset[str] = frozenset()


class RetrainingAttempt(BaseModel):
    """Retraining with its cause, as stored in its file.

    Attributes:
        as_of: Time of the decision and of the training.
        model: Name of the model's declaration.
        begun: Time at which the run began.
        status: ``done`` means that a version was registered, regardless of its gates; stored as ``outcome``.
        why: Reason of the decision.
        event: Event that started the run; empty when started manually.
        subject: Subject of the event.
        version: Version that was registered; empty before.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    as_of: datetime
    begun: datetime
    status: Literal["begun", "done", "failed"] = Field(alias="outcome")
    why: str
    event: str = ""
    subject: str = ""
    version: str = ""
    model: str = CHURN


@dataclass(frozen=True)
class PersistentSignal:
    """Finding in ``times`` of the latest ``of`` windows."""

    event: Reason
    subject: str
    times: int
    of: int

    def __str__(self) -> str:
        return f"{self.event} about {self.subject} in {self.times} of the latest {self.of} windows"


@dataclass(frozen=True)
class RetrainingDecision:
    """Decision with its reason and the persistent findings, the most frequent first."""

    retrain: bool
    why: str
    lasting: tuple[PersistentSignal, ...] = ()


def decide_retraining(
    signals: Sequence[Signal],
    past: Sequence[RetrainingAttempt],
    rules: RetrainingRules,
    as_of: datetime,
    skew: str | None = None,
) -> RetrainingDecision:
    """Decide about a retraining.

    A window is a calendar day (UTC); the last run of a day counts. A retraining that registered a version starts the
    cool-down, even if its gates failed: a training on nearly the same data would fail them again. A failed retraining
    starts no cool-down, but counts for its day. An unfinished retraining with the same ``as_of`` is resumed.

    Args:
        signals: Findings by window.
        past: Earlier retrainings.
        rules: Settings of the policy.
        as_of: Time of the decision.
        skew: Open skew finding, which prevents retraining.

    Returns:
        The decision.
    """
    if later := [item.as_of for item in signals if _utc_day(item.as_of) > _utc_day(as_of)]:
        return RetrainingDecision(
            False, f"{as_of:%Y-%m-%d %H:%M} is the past: there are windows up to {max(later):%Y-%m-%d}"
        )
    lasting = _lasting([item for item in signals if item.as_of <= as_of], rules, as_of)
    if not lasting:
        few = f"no finding is in {rules.needed} of the latest {rules.windows} windows and in the latest"
        return RetrainingDecision(False, few)
    why = "; ".join(str(item) for item in lasting)
    if no := skew or _too_soon(past, rules, as_of):
        return RetrainingDecision(False, f"{no}. Otherwise the reason would be: {why}", lasting)
    return RetrainingDecision(True, why, lasting)


def _lasting(signals: Sequence[Signal], rules: RetrainingRules, as_of: datetime) -> tuple[PersistentSignal, ...]:
    days: dict[Reason, dict[date, Signal]] = defaultdict(dict)
    for item in sorted(signals, key=lambda item: item.as_of):
        days[item.event][_utc_day(item.as_of)] = item
    lasting = []
    for event, by_day in days.items():
        windows = [by_day[day] for day in sorted(by_day)][-rules.windows :]
        if as_of - windows[-1].as_of > timedelta(days=rules.stale_days):
            continue
        for subject in windows[-1].subjects:
            times = sum(subject in window.subjects for window in windows)
            if times >= rules.needed:
                lasting.append(PersistentSignal(event, subject, times, len(windows)))
    return tuple(sorted(lasting, key=lambda item: (-item.times, item.event, item.subject)))


def _too_soon(past: Sequence[RetrainingAttempt], rules: RetrainingRules, as_of: datetime) -> str | None:
    before = [item for item in past if item.as_of <= as_of and not (item.as_of == as_of and item.status == "begun")]
    today = sum(_utc_day(item.as_of) == _utc_day(as_of) for item in before)
    if today >= rules.per_day:
        return f"{format_count(today, 'retraining')} on {as_of:%Y-%m-%d}, at most {rules.per_day} a day"
    last = max((item.as_of for item in before if item.status == "done"), default=None)
    if last is not None and as_of - last < timedelta(days=rules.cool_down_days):
        return f"the last retraining was as of {last:%Y-%m-%d %H:%M}, the cool-down is {rules.cool_down_days:g} days"
    return None


def _utc_day(time: datetime) -> date:
    return time.astimezone(UTC).date()
