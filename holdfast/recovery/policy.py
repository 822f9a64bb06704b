"""Recovery policy: the action on one flow run, decided from its status."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from holdfast.recovery.settings import RecoverRules

ACTIVE_STATES = ("RUNNING", "PENDING", "CANCELLING")
HANDLED_TAG = "seen-to"  # runs on existing servers have it: an alert is raised once per run
_ATTEMPT_TAG = "run-again:"
_ROOT_TAG = "first-run:"

Action = Literal["nothing", "mark dead", "repeat", "report"]


@dataclass(frozen=True)
class RunStatus:
    """Status of a flow run.

    Attributes:
        state: Type of its state, in capitals.
        since: Start of that state.
        deployment: None for a run without a deployment.
        is_subflow: Whether another run has started it.
        last_heartbeat: None where the server has no heartbeat of the run.
        name: Its name in the Prefect UI.
        message: Message of its state; may be empty.
    """

    id: str
    state: str
    since: datetime
    deployment: str | None = None
    is_subflow: bool = False
    tags: tuple[str, ...] = ()
    last_heartbeat: datetime | None = None
    name: str = ""
    message: str = ""

    @property
    def attempt(self) -> int:
        """Return the number of repetitions before this run: 0 for a first run."""
        return max(
            (int(tag.removeprefix(_ATTEMPT_TAG)) for tag in self.tags if tag.startswith(_ATTEMPT_TAG)), default=0
        )

    @property
    def root_run_id(self) -> str:
        """Return the id of the run that was repeated first; its own id for a first run."""
        return next((tag.removeprefix(_ROOT_TAG) for tag in self.tags if tag.startswith(_ROOT_TAG)), self.id)

    def repeat_tags(self) -> Sequence[str]:
        """Return the tags of the run that repeats this one.

        Returns:
            A tag with the number of the repetition, and one with the id of the first run.
        """
        return [f"{_ATTEMPT_TAG}{self.attempt + 1}", f"{_ROOT_TAG}{self.root_run_id}"]


def decide_action(run: RunStatus, rules: RecoverRules, now: datetime, heartbeat_seconds: float | None) -> Action:
    """Decide what to do about a flow run.

    A run without heartbeats is marked as crashed. The mark emits an event, and a later decision handles the crash. If
    the cancellation of the run was requested, it is marked as cancelled, which is final.

    Args:
        run: The run.
        rules: The rules.
        now: Current time.
        heartbeat_seconds: Interval of heartbeats; None where runs send none.

    Returns:
        The action.
    """
    if run.state in ACTIVE_STATES:
        return "mark dead" if _is_silent(run, rules, now, heartbeat_seconds) else "nothing"
    if run.state not in ("CRASHED", "FAILED") or run.is_subflow or HANDLED_TAG in run.tags:
        return "nothing"  # a subflow is handled with its parent
    repeatable = run.deployment in rules.repeatable and run.attempt < rules.times
    return "repeat" if run.state == "CRASHED" and repeatable else "report"


def heartbeat_wait(silent: Sequence[RunStatus], heartbeat_seconds: float | None) -> float:
    """Return the time to wait for another heartbeat, as a stopped server may have missed some.

    Args:
        silent: Runs without recent heartbeats.
        heartbeat_seconds: Interval of heartbeats; None where runs send none.

    Returns:
        Seconds; 0 if no heartbeat is expected.
    """
    if heartbeat_seconds and any(run.state != "PENDING" for run in silent):
        return heartbeat_seconds + 5
    return 0.0


def _is_silent(run: RunStatus, rules: RecoverRules, now: datetime, heartbeat_seconds: float | None) -> bool:
    if run.state == "PENDING":
        return now - run.since > timedelta(minutes=rules.pending_minutes)
    if heartbeat_seconds is None:
        return False
    last = max(run.last_heartbeat or run.since, run.since)
    return now - last > timedelta(seconds=heartbeat_seconds * rules.missed_beats)
