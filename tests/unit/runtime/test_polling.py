"""Polling: the result of the condition, and the end of the time."""

import itertools

from holdfast.runtime.polling import poll_until


def test_poll_until_true_condition_returns_its_result() -> None:
    numbers = itertools.count()
    assert poll_until(lambda: next(numbers) * (next(numbers) > 4), 10, 0.001) == 4
    assert next(numbers) == 6


class _Never:
    """Condition that stays false and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> bool:
        self.calls += 1
        return False


def test_poll_until_after_the_time_returns_the_last_result() -> None:
    never = _Never()
    assert poll_until(never, 0.05, 0.01) is False
    assert 2 <= never.calls <= 7


def test_poll_until_without_time_calls_once() -> None:
    never = _Never()
    assert poll_until(never, 0) is False
    assert never.calls == 1
