"""Waits of tests: short pauses at first, longer ones during a long wait."""

import itertools

import pytest

from tests.support import waiting
from tests.support.waiting import wait_for


class Clock:
    """Clock that only pauses advance."""

    def __init__(self) -> None:
        self.now, self.pauses = 100.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


def test_wait_for_true_condition_returns_its_result_without_pause(clock: Clock) -> None:
    assert wait_for(lambda: "ready") == "ready"
    assert clock.pauses == []


def test_wait_for_long_wait_pauses_longer_and_notices_within_a_twentieth(clock: Clock) -> None:
    assert wait_for(lambda: clock.now - 100 > 30)
    assert clock.pauses == sorted(clock.pauses)
    assert (clock.pauses[0], clock.pauses[-1]) == (0.02, 0.25)
    for paused, waited in zip(clock.pauses, itertools.accumulate(clock.pauses, initial=0.0), strict=False):
        assert paused <= max(0.02, waited / 20)


def test_wait_for_condition_that_stays_false_fails_at_its_limit_with_the_description(clock: Clock) -> None:
    with pytest.raises(AssertionError, match="no response"):
        wait_for(lambda: None, 5, lambda: "no response")
    assert 5 <= clock.now - 100 < 5.25
