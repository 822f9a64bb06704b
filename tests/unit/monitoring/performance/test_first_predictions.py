"""What callers were told: read from the log once a day is over, and gone when the log's day is."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from feature_repo.settings import Settings
from feature_repo.timestamps import epoch_us
from holdfast.monitoring.performance import first_predictions
from holdfast.monitoring.performance.first_predictions import read_first_predictions
from tests.support.prediction_batches import make_batch, write_log

NOW = datetime(2024, 3, 10, 6, 15, tzinfo=UTC)
SINCE = NOW - timedelta(days=8)


def answered(settings: Settings, at: datetime, *ids: str, **changes: object) -> None:
    moment = epoch_us(at)
    fields = {
        "as_of_us": np.full(len(ids), moment),
        "answered_at_us": moment,
        "timestamps_us": np.full((len(ids), 2), 0),
    }
    write_log(settings.predictions, make_batch(ids, **fields | changes))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """On the wall clock, with answers of this morning, of yesterday and of a week ago."""
    settings = Settings(data=tmp_path, clock="wall")
    for days in (0, 1, 7):
        answered(settings, NOW - timedelta(days=days, minutes=5), "1", "2")
    return settings


def told(settings: Settings) -> list[tuple[date, str]]:
    found = read_first_predictions(settings, SINCE, NOW)
    return sorted(zip(found["as_of"].dt.date, found["customer_id"], strict=True))


def test_a_day_that_is_over_is_read_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    read, original = [], first_predictions.predictions_of_day
    monkeypatch.setattr(
        first_predictions, "predictions_of_day", lambda folder: read.append(folder.name) or original(folder)
    )
    first = told(settings)
    assert len(first) == 6
    assert read == ["2024-03-03", "2024-03-09", "2024-03-10"]
    read.clear()
    assert told(settings) == first
    assert read == ["2024-03-09", "2024-03-10"], "yesterday's writers may be late"
    answered(settings, NOW - timedelta(days=7, minutes=4), "3")
    assert (date(2024, 3, 3), "c3") in told(settings)
    (settings.monitoring / "answers" / "2024-03-03.parquet").write_text("damaged")
    assert len(told(settings)) == 7


def test_what_the_log_gave_up_is_gone(settings: Settings) -> None:
    assert len(told(settings)) == 6
    assert [path.stem for path in (settings.monitoring / "answers").iterdir()] == ["2024-03-03"]
    shutil.rmtree(settings.predictions / "2024-03-03")
    assert len(told(settings)) == 4
    assert list((settings.monitoring / "answers").iterdir()) == []


def test_a_shadow_told_nobody_anything_and_nothing_is_known_of_those_long_away(settings: Settings) -> None:
    answered(settings, NOW - timedelta(minutes=4), "4", route="shadow")
    away = {"input_names": ["days_since_last_purchase"], "inputs": np.array([[181.0]])}
    answered(settings, NOW - timedelta(minutes=4), "5", **away)
    answered(settings, NOW + timedelta(minutes=4), "6")  # after the window
    assert {customer for _, customer in told(settings)} == {"c1", "c2"}
    assert read_first_predictions(settings, NOW + timedelta(hours=1), NOW + timedelta(hours=2)).empty
