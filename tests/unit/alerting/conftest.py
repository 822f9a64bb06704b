"""Fixtures of the tests of alerts."""

from pathlib import Path

import pytest

from feature_repo.settings import Settings


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(data_dir: Path, request: pytest.FixtureRequest) -> Settings:
    """Settings with the database of alerts in the data folder, and in PostgreSQL."""
    return Settings(
        data=data_dir, database=request.getfixturevalue("postgres_url") if request.param != "sqlite" else ""
    )
