"""First predictions: past days are read from the log once, and their cache is deleted with the log's day."""

import shutil
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from feature_repo.settings import Settings
from feature_repo.timestamps import epoch_us
from holdfast.models.label import ActivityRule, LabelTerms
from holdfast.monitoring.performance import first_predictions
from holdfast.monitoring.performance.first_predictions import read_first_predictions
from tests.support.prediction_batches import make_batch, write_log

NOW = datetime(2024, 3, 10, 6, 15, tzinfo=UTC)
SINCE = NOW - timedelta(days=8)
RULES = {"1": LabelTerms().activity}


def log_predictions(settings: Settings, at: datetime, *ids: str, **changes: object) -> None:
    time_us = epoch_us(at)
    fields = {
        "as_of_us": np.full(len(ids), time_us),
        "answered_at_us": time_us,
        "timestamps_us": np.full((len(ids), 2), 0),
    }
    write_log(settings.predictions, make_batch(ids, **fields | changes))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings on the wall clock, with predictions of this morning, of yesterday and of a week ago."""
    settings = Settings(data=tmp_path, clock="wall")
    for days in (0, 1, 7):
        log_predictions(settings, NOW - timedelta(days=days, minutes=5), "1", "2")
    return settings


def read_keys(settings: Settings, rules: Mapping[str, ActivityRule] = RULES) -> list[tuple[date, str]]:
    rows = read_first_predictions(settings, SINCE, NOW, rules)
    return sorted(zip(rows["as_of"].dt.date, rows["customer_id"], strict=True))


def test_read_first_predictions_reads_past_day_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    read, original = [], first_predictions.iter_day_predictions
    monkeypatch.setattr(
        first_predictions, "iter_day_predictions", lambda folder: read.append(folder.name) or original(folder)
    )
    first = read_keys(settings)
    assert len(first) == 6
    assert read == ["2024-03-03", "2024-03-09", "2024-03-10"]
    read.clear()
    assert read_keys(settings) == first
    assert read == ["2024-03-09", "2024-03-10"], "the log of yesterday may still grow"
    log_predictions(settings, NOW - timedelta(days=7, minutes=4), "3")
    assert (date(2024, 3, 3), "c3") in read_keys(settings)
    (settings.monitoring / "first_predictions" / "2024-03-03.parquet").write_text("damaged")
    assert len(read_keys(settings)) == 7


def test_read_first_predictions_activity_window_of_each_version(settings: Settings) -> None:
    day = NOW - timedelta(days=7, minutes=4)
    for version in ("1", "2", "3"):
        away = {"input_names": ["days_since_last_purchase"], "inputs": np.array([[50.0]]), "version": version}
        log_predictions(settings, day, f"9{version}", **away)

    def read_away(**activity_days: int) -> set[str]:
        keys = read_keys(
            settings,
            {name.removeprefix("v"): LabelTerms(activity_days=days).activity for name, days in activity_days.items()},
        )
        return {customer for _, customer in keys if customer.startswith("c9")}

    assert read_away(v1=180, v2=30) == {"c91"}, "version 3 is not registered"
    assert read_away(v1=180, v2=60) == {"c91", "c92"}, "the cache depends on the window"
    assert read_away(v1=180, v2=60, v3=50) == {"c91", "c92", "c93"}
    assert read_away(v1=49, v2=60, v3=49) == {"c92"}


def test_read_first_predictions_later_version_keeps_the_cache(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, original = [], first_predictions.iter_day_predictions
    first = read_keys(settings)
    monkeypatch.setattr(
        first_predictions, "iter_day_predictions", lambda folder: read.append(folder.name) or original(folder)
    )
    assert read_keys(settings, {**RULES, "2": LabelTerms(activity_days=30).activity}) == first
    assert "2024-03-03" not in read


def test_read_first_predictions_deletes_cache_of_deleted_day(settings: Settings) -> None:
    assert len(read_keys(settings)) == 6
    assert [path.stem for path in (settings.monitoring / "first_predictions").iterdir()] == ["2024-03-03"]
    shutil.rmtree(settings.predictions / "2024-03-03")
    assert len(read_keys(settings)) == 4
    assert list((settings.monitoring / "first_predictions").iterdir()) == []


def test_read_first_predictions_skips_shadow_inactive_and_later(settings: Settings) -> None:
    log_predictions(settings, NOW - timedelta(minutes=4), "4", route="shadow")
    away = {"input_names": ["days_since_last_purchase"], "inputs": np.array([[181.0]])}
    log_predictions(settings, NOW - timedelta(minutes=4), "5", **away)
    log_predictions(settings, NOW + timedelta(minutes=4), "6")  # after the window
    assert {customer for _, customer in read_keys(settings)} == {"c1", "c2"}
    assert read_first_predictions(settings, NOW + timedelta(hours=1), NOW + timedelta(hours=2), RULES).empty
