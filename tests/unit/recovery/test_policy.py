"""What is done about a flow run, by its state, its heartbeats and how often it has been repeated."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.recovery.policy import HANDLED_TAG, Action, RunStatus, decide_action
from holdfast.recovery.settings import RecoverRules

NOW = datetime(2024, 7, 1, 12, tzinfo=UTC)
RULES = RecoverRules()
BEAT = 30.0


def a_run(state: str, seconds: float = 3600, **facts: object) -> RunStatus:
    """A run of train in a state since so many seconds."""
    return RunStatus("id-1", state, NOW - timedelta(seconds=seconds), **({"deployment": "train"} | facts))  # type: ignore[arg-type]


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("run", "action"),
    [
        (a_run("RUNNING", last_heartbeat=ago(89)), "nothing"),
        (a_run("RUNNING", last_heartbeat=ago(91)), "mark dead"),
        (a_run("RUNNING", 60), "nothing"),  # no heartbeat yet
        (a_run("RUNNING", 91), "mark dead"),
        (a_run("RUNNING", 60, last_heartbeat=ago(600)), "nothing"),  # resumed a minute ago
        (a_run("RUNNING", last_heartbeat=ago(600), is_subflow=True), "mark dead"),
        (a_run("CANCELLING", last_heartbeat=ago(600)), "mark dead"),
        (a_run("PENDING", 14 * 60), "nothing"),
        (a_run("PENDING", 16 * 60), "mark dead"),
        (a_run("CRASHED"), "repeat"),
        (a_run("CRASHED", tags=("run-again:1",)), "repeat"),
        (a_run("CRASHED", tags=("run-again:2",)), "report"),
        (a_run("CRASHED", deployment="promote"), "report"),
        (a_run("CRASHED", deployment=None), "report"),
        (a_run("CRASHED", is_subflow=True), "nothing"),
        (a_run("CRASHED", tags=(HANDLED_TAG,)), "nothing"),
        (a_run("FAILED"), "report"),
        (a_run("FAILED", tags=("run-again:1",)), "report"),
        (a_run("FAILED", is_subflow=True), "nothing"),
        (a_run("FAILED", tags=(HANDLED_TAG,)), "nothing"),
        (a_run("COMPLETED"), "nothing"),
        (a_run("CANCELLED"), "nothing"),
        (a_run("PAUSED", last_heartbeat=ago(9999)), "nothing"),  # it waits for a person
        (a_run("SCHEDULED"), "nothing"),
    ],
)
def test_decide_action_run_status_action(run: RunStatus, action: Action) -> None:
    assert decide_action(run, RULES, NOW, BEAT) == action


def test_decide_action_without_heartbeats_silent_run_is_left_alone() -> None:
    assert decide_action(a_run("RUNNING", last_heartbeat=ago(9999)), RULES, NOW, None) == "nothing"


@given(st.integers(0, 6))
def test_decide_action_run_always_crashes_repetition_ends(times: int) -> None:
    rules, run, runs = RecoverRules(times=times), a_run("CRASHED"), 1
    while decide_action(run, rules, NOW, BEAT) == "repeat":
        run = RunStatus(f"id-{runs + 1}", "CRASHED", NOW, "train", tags=tuple(run.repeat_tags()))
        runs += 1
        assert (run.root_run_id, run.attempt) == ("id-1", runs - 1)
    assert runs == times + 1
