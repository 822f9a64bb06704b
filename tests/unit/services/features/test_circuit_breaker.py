"""The circuit breaker opens after repeated failures, and then allows one call at a time."""

from services.features.circuit_breaker import FAILURES, OPEN_SECONDS, CircuitBreaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_breaker_opens_after_consecutive_failures_only() -> None:
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


def test_breaker_after_open_time_allows_one_call() -> None:
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


def test_breaker_with_lost_call_allows_another() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    for _ in range(FAILURES):
        breaker.record_failure()
    clock.now += OPEN_SECONDS
    assert breaker.allows()
    clock.now += OPEN_SECONDS
    assert breaker.allows()
