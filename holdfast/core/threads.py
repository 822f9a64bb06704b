"""Threads for work that Arrow, DuckDB and NumPy do without Python's lock."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

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
