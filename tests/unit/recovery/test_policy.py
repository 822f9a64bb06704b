"""What is done about a flow run, by its state, its heartbeats and how often it has been repeated."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.recovery.policy import SEEN_TO, Run, Todo, judge
from holdfast.recovery.settings import RecoverRules

NOW = datetime(2024, 7, 1, 12, tzinfo=UTC)
RULES = RecoverRules()
BEAT = 30.0


def a_run(state: str, seconds: float = 3600, **facts: object) -> Run:
    """A run of train in a state since so many seconds."""
    return Run("id-1", state, NOW - timedelta(seconds=seconds), **({"deployment": "train"} | facts))  # type: ignore[arg-type]


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("run", "todo"),
    [
        (a_run("RUNNING", last_beat=ago(89)), "nothing"),
        (a_run("RUNNING", last_beat=ago(91)), "mark dead"),
        (a_run("RUNNING", 60), "nothing"),  # it has not beaten yet
        (a_run("RUNNING", 91), "mark dead"),
        (a_run("RUNNING", 60, last_beat=ago(600)), "nothing"),  # resumed a minute ago
        (a_run("RUNNING", last_beat=ago(600), parent=True), "mark dead"),
        (a_run("CANCELLING", last_beat=ago(600)), "mark dead"),
        (a_run("PENDING", 14 * 60), "nothing"),
        (a_run("PENDING", 16 * 60), "mark dead"),
        (a_run("CRASHED"), "run again"),
        (a_run("CRASHED", tags=("run-again:1",)), "run again"),
        (a_run("CRASHED", tags=("run-again:2",)), "tell"),
        (a_run("CRASHED", deployment="promote"), "tell"),
        (a_run("CRASHED", deployment=None), "tell"),
        (a_run("CRASHED", parent=True), "nothing"),
        (a_run("CRASHED", tags=(SEEN_TO,)), "nothing"),
        (a_run("FAILED"), "tell"),
        (a_run("FAILED", tags=("run-again:1",)), "tell"),
        (a_run("FAILED", parent=True), "nothing"),
        (a_run("FAILED", tags=(SEEN_TO,)), "nothing"),
        (a_run("COMPLETED"), "nothing"),
        (a_run("CANCELLED"), "nothing"),
        (a_run("PAUSED", last_beat=ago(9999)), "nothing"),  # it waits for a person
        (a_run("SCHEDULED"), "nothing"),
    ],
)
def test_what_is_done(run: Run, todo: Todo) -> None:
    assert judge(run, RULES, NOW, BEAT) == todo


def test_where_runs_do_not_beat_silence_says_nothing() -> None:
    assert judge(a_run("RUNNING", last_beat=ago(9999)), RULES, NOW, None) == "nothing"


@given(st.integers(0, 6))
def test_a_run_that_always_crashes_ends(times: int) -> None:
    rules, run, runs = RecoverRules(times=times), a_run("CRASHED"), 1
    while judge(run, rules, NOW, BEAT) == "run again":
        run = Run(f"id-{runs + 1}", "CRASHED", NOW, "train", tags=tuple(run.tags_of_next()))
        runs += 1
        assert (run.first, run.again) == ("id-1", runs - 1)
    assert runs == times + 1
