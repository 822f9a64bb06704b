"""Fixtures of the monitoring tests."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def frozen_heap() -> Iterator[None]:
    """Exclude the imported modules from garbage collection: statsmodels collects fully at each Holm correction."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
