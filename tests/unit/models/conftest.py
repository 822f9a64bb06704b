"""Fixtures of the model tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.feast_stores.open_store import open_store
from tests.support.small_shop import use_data_folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    """A registry of the test's own; no data."""
    from holdfast.feature_store.feast_registry import apply_definitions

    with use_data_folder(tmp_path / "data"):
        apply_definitions(open_store())
        yield open_store()
