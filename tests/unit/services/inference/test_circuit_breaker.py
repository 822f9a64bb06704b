"""What fails again and again is left alone for a moment, then tried by one caller at a time."""

from services.inference.circuit_breaker import FAILURES, OPEN_SECONDS, CircuitBreaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = CircuitBreaker(Clock())
    for _ in range(FAILURES):
        breaker.record_failure()
        breaker.record_failure()
        breaker.record_success()
    assert breaker.allows() and not breaker.is_open
    for _ in range(FAILURES):
        assert breaker.allows()
        breaker.record_failure()
    assert breaker.is_open and not breaker.allows()


def test_after_a_while_one_may_try_and_the_others_do_not_wait_for_it() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    for _ in range(FAILURES):
        breaker.record_failure()
    clock.now += OPEN_SECONDS - 0.01
    assert not breaker.allows()
    clock.now += 0.01
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    clock.now += 0.5
    breaker.record_failure()
    clock.now += OPEN_SECONDS - 0.01
    assert not breaker.allows()
    clock.now += 0.01
    assert breaker.allows()
    breaker.record_success()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_who_tried_and_never_came_back_does_not_keep_it_open() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    for _ in range(FAILURES):
        breaker.record_failure()
    clock.now += OPEN_SECONDS
    assert breaker.allows()
    clock.now += OPEN_SECONDS
    assert breaker.allows()
