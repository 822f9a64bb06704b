"""What to do about one flow run, decided from what Prefect's server knows of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from holdfast.recovery.settings import RecoverRules

HANDLED_TAG = "seen-to"
"""The tag of a run that is dealt with: nobody is told of it a second time."""
_AGAIN = "run-again:"
_FIRST = "first-run:"

Action = Literal["nothing", "mark dead", "run again", "tell"]


@dataclass(frozen=True)
class RunStatus:
    """A flow run: in which state since when, of which deployment, and when its last heartbeat was."""

    id: str
    state: str
    since: datetime
    deployment: str | None = None
    is_subflow: bool = False
    """Whether it is part of another run."""
    tags: tuple[str, ...] = ()
    last_heartbeat: datetime | None = None

    @property
    def attempt(self) -> int:
        """How often it has been run again already: 0 for a first run."""
        return max((int(tag.removeprefix(_AGAIN)) for tag in self.tags if tag.startswith(_AGAIN)), default=0)

    @property
    def root_run_id(self) -> str:
        """The id of the run that it repeats; its own if it repeats none."""
        return next((tag.removeprefix(_FIRST) for tag in self.tags if tag.startswith(_FIRST)), self.id)

    def repeat_tags(self) -> Sequence[str]:
        """The tags of the run that repeats this one."""
        return [f"{_AGAIN}{self.attempt + 1}", f"{_FIRST}{self.root_run_id}"]


def decide_action(run: RunStatus, rules: RecoverRules, now: datetime, beat_seconds: float | None) -> Action:
    """What to do about ``run``; ``beat_seconds`` is how often runs beat, None when they do not.

    A dead one is marked first: as crashed, which is an event, so that this is asked again about it; or as cancelled
    where somebody had asked for that.
    """
    if run.state in ("RUNNING", "PENDING", "CANCELLING"):
        return "mark dead" if _silent(run, rules, now, beat_seconds) else "nothing"
    if run.state not in ("CRASHED", "FAILED") or run.is_subflow or HANDLED_TAG in run.tags:
        return "nothing"  # of a part of a run, the whole tells
    again = run.state == "CRASHED" and run.deployment in rules.repeatable and run.attempt < rules.times
    return "run again" if again else "tell"


def _silent(run: RunStatus, rules: RecoverRules, now: datetime, beat_seconds: float | None) -> bool:
    if run.state == "PENDING":
        return now - run.since > timedelta(minutes=rules.pending_minutes)
    if beat_seconds is None:
        return False
    return now - max(run.last_heartbeat or run.since, run.since) > timedelta(seconds=beat_seconds * rules.missed_beats)
