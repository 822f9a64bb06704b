"""Tests of work in threads."""

import threading

import pytest

from holdfast.core.threads import map_in_threads


def test_map_in_threads_results_have_the_order_of_the_items() -> None:
    second_started = threading.Event()

    def wait_for_second(item: int) -> int:
        if item == 1:
            second_started.wait(10)
        second_started.set()
        return item * 2

    assert map_in_threads(wait_for_second, [2, 1, 3]) == [4, 2, 6]
    assert map_in_threads(wait_for_second, []) == []


def test_map_in_threads_several_errors_raise_that_of_the_first_item() -> None:
    second_failed = threading.Event()

    def fail(item: str) -> None:
        if item == "second":
            second_failed.set()
        else:
            second_failed.wait(0.2)
        raise ValueError(item)

    with pytest.raises(ValueError, match="first"):
        map_in_threads(fail, ["first", "second"])
