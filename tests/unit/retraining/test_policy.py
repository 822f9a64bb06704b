"""Retraining policy: examples, and properties of every history."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.retraining.policy import RetrainingAttempt, RetrainingDecision, Signal, decide_retraining
from holdfast.retraining.settings import RetrainingRules

NOW = datetime(2024, 7, 10, 12, tzinfo=UTC)
DRIFT, QUALITY = "holdfast.drift.detected", "holdfast.quality.dropped"
RULES = RetrainingRules()


def drift(*days_ago: float, quiet: tuple[float, ...] = (), subject: str = "recency") -> list[Signal]:
    """Return windows with a finding (days ago), and quiet windows without."""
    found = [Signal(DRIFT, NOW - timedelta(days=day), frozenset([subject])) for day in days_ago]
    return found + [Signal(DRIFT, NOW - timedelta(days=day)) for day in quiet]


def attempt(as_of: datetime, status: Literal["begun", "done", "failed"]) -> RetrainingAttempt:
    return RetrainingAttempt(as_of=as_of, begun=as_of, status=status, why="drift")


def decide(
    signals: list[Signal], past: list[RetrainingAttempt] | None = None, rules: RetrainingRules = RULES
) -> RetrainingDecision:
    return decide_retraining(signals, past or [], rules, NOW)


def test_decide_retraining_persistent_finding_retrains_with_reason() -> None:
    decision = decide(drift(0, 1, quiet=(2, 3, 4)))
    assert decision.retrain
    assert decision.why == "holdfast.drift.detected about recency in 2 of the latest 5 windows"


@pytest.mark.parametrize(
    "signals",
    [
        drift(0, quiet=(1, 2, 3, 4)),  # once
        drift(1, 2, quiet=(0, 3)),  # not in the latest window
        drift(0, 6, quiet=(1, 2, 3, 4, 5)),  # the second finding is too old
        drift(0) + drift(1, subject="frequency"),  # different subjects
        drift(0, 0.1, 0.2, 0.3),  # many runs, one day
        drift(5, 6),  # no run for days
        [],
    ],
)
def test_decide_retraining_without_persistent_finding_does_not_retrain(signals: list[Signal]) -> None:
    decision = decide(signals)
    assert not decision.retrain
    assert "no finding is in 2 of the latest 5 windows" in decision.why


def test_decide_retraining_several_runs_in_a_day_uses_last() -> None:
    assert decide(drift(0, 1)).retrain
    assert not decide(drift(0, 1, quiet=(0.9,))).retrain  # yesterday's last run found nothing


def test_decide_retraining_missed_day_not_counted_as_window() -> None:
    assert decide(drift(0, 4, quiet=(2,))).retrain


def test_decide_retraining_two_findings_longest_first() -> None:
    quality = [Signal(QUALITY, NOW - timedelta(days=day), frozenset(["2024-03"])) for day in range(3)]
    decision = decide(drift(0, 1) + quality)
    assert [item.event for item in decision.lasting] == [QUALITY, DRIFT]


def test_decide_retraining_open_skew_does_not_retrain_and_gives_both_reasons() -> None:
    decision = decide_retraining(drift(0, 1), [], RULES, NOW, skew="the features served differ")
    assert not decision.retrain
    assert decision.why.startswith("the features served differ. Otherwise the reason would be: holdfast.drift.detected")


def test_decide_retraining_within_cool_down_does_not_retrain() -> None:
    before = [attempt(NOW - timedelta(days=6, hours=23), "done")]
    assert "cool-down" in decide(drift(0, 1), before).why
    assert decide(drift(0, 1), [attempt(NOW - timedelta(days=7), "done")]).retrain
    assert decide(drift(0, 1), before, RetrainingRules(cool_down_days=2)).retrain


def test_decide_retraining_failed_attempt_retries_next_day() -> None:
    assert decide(drift(0, 1), [attempt(NOW - timedelta(days=1), "failed")]).retrain
    assert "at most 1 a day" in decide(drift(0, 1), [attempt(NOW - timedelta(hours=1), "failed")]).why


def test_decide_retraining_killed_attempt_resumes() -> None:
    assert decide(drift(0, 1), [attempt(NOW, "begun")]).retrain
    assert not decide(drift(0, 1), [attempt(NOW, "done")]).retrain
    assert "at most 1 a day" in decide(drift(0, 1), [attempt(NOW - timedelta(hours=1), "begun")]).why


def test_decide_retraining_past_as_of_does_not_retrain() -> None:
    assert "is the past" in decide([*drift(0, 1), Signal(DRIFT, NOW + timedelta(days=1))]).why
    later_today = Signal(DRIFT, NOW + timedelta(hours=1), frozenset(["recency"]))
    assert decide([*drift(0, 1), later_today]).retrain


def test_retraining_rules_more_needed_than_windows_raises() -> None:
    with pytest.raises(ValueError, match="needed"):
        RetrainingRules(windows=2, needed=3)


DAYS = st.integers(0, 12)
SIGNALS = st.lists(
    st.builds(
        lambda event, day, hour, subjects: Signal(event, NOW - timedelta(days=day, hours=hour), subjects),
        st.sampled_from([DRIFT, QUALITY]),
        DAYS,
        st.integers(0, 11),
        st.frozensets(st.sampled_from(["a", "b", "c"])),
    ),
    max_size=30,
)
PAST = st.lists(
    st.builds(
        lambda day, status: attempt(NOW - timedelta(days=day), status),
        st.floats(0, 20),
        st.sampled_from(["begun", "done", "failed"]),
    ),
    max_size=6,
)
ANY_RULES = st.integers(1, 7).flatmap(
    lambda windows: st.builds(
        RetrainingRules,
        windows=st.just(windows),
        needed=st.integers(1, windows),
        cool_down_days=st.floats(0, 10),
        per_day=st.integers(1, 3),
    )
)


@given(SIGNALS, PAST, ANY_RULES)
@settings(deadline=None)
def test_decide_retraining_any_history_retrains_only_within_rules(
    signals: list[Signal], past: list[RetrainingAttempt], rules: RetrainingRules
) -> None:
    signals = list({(item.event, item.as_of): item for item in signals}.values())  # a run is written once
    decision = decide_retraining(signals, past, rules, NOW)
    assert decision.why
    if not decision.retrain:
        return
    for reason in decision.lasting:
        runs = [item for item in signals if item.event == reason.event]
        days = sorted({item.as_of.date() for item in runs})[-rules.windows :]
        last = {day: max((i for i in runs if i.as_of.date() == day), key=lambda i: i.as_of).as_of for day in days}
        having = {day for day in days if any(reason.subject in i.subjects for i in runs if i.as_of == last[day])}
        assert len(having) == reason.times >= rules.needed
        assert days[-1] in having
    done = [item.as_of for item in past if item.status == "done"]
    assert all(NOW - when >= timedelta(days=rules.cool_down_days) for when in done)
    today = [i for i in past if i.as_of.date() == NOW.date() and (i.as_of, i.status) != (NOW, "begun")]
    assert len(today) < rules.per_day


@given(SIGNALS, PAST, ANY_RULES)
@settings(deadline=None)
def test_decide_retraining_more_attempts_or_skew_never_retrains(
    signals: list[Signal], past: list[RetrainingAttempt], rules: RetrainingRules
) -> None:
    if not decide_retraining(signals, [], rules, NOW).retrain:
        assert not decide_retraining(signals, past, rules, NOW).retrain
    assert not decide_retraining(signals, past, rules, NOW, skew="values differ").retrain


@given(SIGNALS, PAST, ANY_RULES, st.randoms())
@settings(deadline=None)
def test_decide_retraining_shuffled_inputs_equal_decision(
    signals: list[Signal], past: list[RetrainingAttempt], rules: RetrainingRules, shuffler
) -> None:
    distinct = list({(item.event, item.as_of): item for item in signals}.values())
    expected = decide_retraining(distinct, past, rules, NOW)
    shuffler.shuffle(distinct)
    shuffler.shuffle(past)
    assert decide_retraining(distinct, past, rules, NOW) == expected
