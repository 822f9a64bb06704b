"""Whether to train again, and why: a finding has to last, and retrainings have to keep their distance."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from holdfast.retraining.settings import RetrainingRules

Reason = Literal["holdfast.drift.detected", "holdfast.quality.dropped"]
"""What may be reason to retrain. A skew never is: the model would learn from what serving does not see."""


@dataclass(frozen=True)
class Signal:
    """What a monitoring run whose window ended at ``as_of`` found of one kind; no subjects: nothing."""

    event: Reason
    as_of: datetime
    subjects: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Attempt:
    """A retraining as of a moment. ``done``: it gave a version, whatever the gates said of it."""

    as_of: datetime
    outcome: Literal["begun", "done", "failed"]


@dataclass(frozen=True)
class PersistentSignal:
    """A finding that lasts: in ``times`` of the latest ``of`` windows."""

    event: Reason
    subject: str
    times: int
    of: int

    def __str__(self) -> str:
        return f"{self.event} about {self.subject} in {self.times} of the latest {self.of} windows"


@dataclass(frozen=True)
class RetrainingDecision:
    """Whether to train again, why, and the findings that last, in the order of how long they do."""

    retrain: bool
    why: str
    lasting: tuple[PersistentSignal, ...] = ()


def decide_retraining(
    seen: Sequence[Signal], past: Sequence[Attempt], rules: RetrainingRules, as_of: datetime, skew: str | None = None
) -> RetrainingDecision:
    """Decide as of a moment, from what was seen and done up to it; ``skew`` tells of an open one.

    A window is a calendar day (UTC); of several runs in a day the last counts. A retraining that gave a version starts
    the cool-down, also if its gates refused it: on nearly the same data another would end alike. One that failed does
    not, so that it is tried again, but it counts in its day. One of the same ``as_of`` that never ended goes on.
    """
    if later := [item.as_of for item in seen if _day(item.as_of) > _day(as_of)]:
        return RetrainingDecision(
            False, f"{as_of:%Y-%m-%d %H:%M} is the past: there are windows up to {max(later):%Y-%m-%d}"
        )
    lasting = _lasting([item for item in seen if item.as_of <= as_of], rules, as_of)
    if not lasting:
        few = f"no finding is in {rules.needed} of the latest {rules.windows} windows and in the latest"
        return RetrainingDecision(False, few)
    because = "; ".join(str(item) for item in lasting)
    if no := skew or _too_soon(past, rules, as_of):
        return RetrainingDecision(False, f"{no}. Else it would be: {because}", lasting)
    return RetrainingDecision(True, because, lasting)


def _lasting(seen: Sequence[Signal], rules: RetrainingRules, as_of: datetime) -> tuple[PersistentSignal, ...]:
    days: dict[Reason, dict[date, Signal]] = defaultdict(dict)
    for item in sorted(seen, key=lambda item: item.as_of):
        days[item.event][_day(item.as_of)] = item
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


def _too_soon(past: Sequence[Attempt], rules: RetrainingRules, as_of: datetime) -> str | None:
    before = [item for item in past if item.as_of <= as_of and not (item.as_of == as_of and item.outcome == "begun")]
    today = sum(_day(item.as_of) == _day(as_of) for item in before)
    if today >= rules.per_day:
        return f"{today} retraining(s) on {as_of:%Y-%m-%d}, at most {rules.per_day} a day"
    last = max((item.as_of for item in before if item.outcome == "done"), default=None)
    if last is not None and as_of - last < timedelta(days=rules.cool_down_days):
        return f"the last retraining was as of {last:%Y-%m-%d %H:%M}, the cool-down is {rules.cool_down_days:g} days"
    return None


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
