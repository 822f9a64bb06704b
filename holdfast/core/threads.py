"""Threads for work that Arrow, DuckDB and NumPy do without Python's lock, and limits of the threads of libraries."""

import functools
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

import pyarrow as pa
from threadpoolctl import ThreadpoolController

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Apply a function to items, as many at once as the machine has cores.

    Args:
        function: Function without side effects on other items.
        items: Arguments.

    Returns:
        Results in the order of the items. If several items raise, the error is that of the first one.
    """
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        return list(pool.map(function, items))


def limit_threads(user_api: str | None = None) -> AbstractContextManager[object]:
    """Limit BLAS and OpenMP to one thread within a block.

    Args:
        user_api: "blas" or "openmp"; None for both.

    Returns:
        Context manager, which restores the limits at its end.
    """
    manager: AbstractContextManager[object] = _find_libraries(len(sys.modules)).limit(limits=1, user_api=user_api)
    return manager


@functools.lru_cache(maxsize=1)
def _find_libraries(modules: int) -> ThreadpoolController:
    """Find the libraries of threads, which takes 4 ms, again only after further ``modules`` were imported."""
    return ThreadpoolController()
