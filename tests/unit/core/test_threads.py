"""Tests of work in threads."""

import sys
import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from holdfast.core.threads import _find_libraries, limit_threads, map_in_threads


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


def _blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_limit_threads_block_has_one_thread_and_restores_the_limit_of_the_caller() -> None:
    import numpy as np

    assert np.ones(1).sum() == 1  # has loaded a BLAS
    for limit in (2, 1, 2):
        with threadpool_limits(limits=limit):
            with limit_threads():
                assert _blas_threads() == {1}
            with limit_threads("openmp"):
                assert _blas_threads() == {limit}
            assert _blas_threads() == {limit}


def test_limit_threads_finds_libraries_again_after_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _find_libraries(len(sys.modules))
    with limit_threads():
        assert _find_libraries(len(sys.modules)) is found
    monkeypatch.setitem(sys.modules, "imported_later", sys)
    with limit_threads():
        assert _find_libraries(len(sys.modules)) is not found
