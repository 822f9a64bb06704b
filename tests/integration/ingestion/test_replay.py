"""Replay of a historical data set: a separate data folder, in which the current time is the end of the data."""

from collections.abc import Callable
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.ingestion.datasets import locate_dataset, start_replay
from tests.support.ingest_pipeline import run_ingest


def test_start_replay_sets_the_data_clock(settings: Settings) -> None:
    assert Settings(data=settings.data).clock == "wall"
    start_replay(settings, "cdnow")
    assert Settings(data=settings.data).clock == "data"
    assert Settings(data=settings.data, clock="wall").clock == "wall"


def test_start_replay_in_folder_with_other_data_raises(
    settings: Settings, source: Callable[..., Path], simple: Path
) -> None:
    run_ingest(settings, source("a,2025-01-01,5,1", name="shop.csv"), simple)
    with pytest.raises(IngestError, match=r"contains shop\.csv; data set 'cdnow' would be mixed with it permanently"):
        start_replay(settings, "cdnow")
    assert Settings(data=settings.data).clock == "wall"


def test_start_replay_of_ingested_data_set_is_allowed(
    settings: Settings, source: Callable[..., Path], simple: Path
) -> None:
    path, mapping = locate_dataset("cdnow")
    run_ingest(settings, path, mapping)
    run_ingest(settings, source("a,1998-05-01,5,1", name="late.csv"), simple)
    start_replay(settings, "cdnow")
    assert run_ingest(settings, path, mapping).status == "already ingested"
