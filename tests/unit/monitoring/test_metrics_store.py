"""Metrics table: reads are filtered and open only the needed files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from holdfast.monitoring.metrics_store import MetricRow, read_latest_metrics, read_metrics, write_metrics

START, HOUR = datetime(2024, 7, 1, 20, 15, tzinfo=UTC), timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Write hourly runs from 20:15 on, over midnight; the later half has no rows."""
    settings = Settings(data=tmp_path)
    for hour in range(8):
        end = START + hour * HOUR
        write_metrics(
            settings, "drift", end - 24 * HOUR, end, [MetricRow("psi", "score", hour, 100 if hour < 4 else 0)]
        )
    return settings


def values(settings: Settings, since: int | None = None, before: int | None = None, last_of_day: bool = False) -> list:
    ends = (None if hour is None else START + hour * HOUR for hour in (since, before))
    return read_metrics(settings, "drift", *ends, last_of_day=last_of_day)["value"].tolist()


def test_read_metrics_filters_by_time_and_day(settings: Settings) -> None:
    assert values(settings) == list(range(8))
    assert values(settings, since=2, before=5) == [2, 3, 4]
    assert values(settings, last_of_day=True) == [3, 7]
    assert values(settings, since=1, before=6, last_of_day=True) == [3, 5]
    assert values(settings, since=8) == []
    assert read_metrics(settings, "skew").empty


def test_read_latest_metrics_with_and_without_rows(settings: Settings) -> None:
    assert read_latest_metrics(settings, "drift")["value"].tolist() == [7]
    assert read_latest_metrics(settings, "drift", with_rows=True)["value"].tolist() == [3]
    assert read_latest_metrics(settings, "skew").empty
    write_metrics(settings, "skew", START, START + HOUR, [MetricRow("values_compared", "all", 0, 0)])
    assert read_latest_metrics(settings, "skew", with_rows=True).empty


def test_read_metrics_opens_needed_files_only(settings: Settings) -> None:
    folder = settings.monitoring / "metrics" / "drift"
    for hour in (0, 4, 6):
        (folder / f"{START + hour * HOUR:%Y%m%dT%H%M%SZ}.parquet").write_text("damaged")
    assert values(settings, since=1, before=4) == [1, 2, 3]
    assert values(settings, since=1, last_of_day=True) == [3, 7]
    assert read_latest_metrics(settings, "drift")["value"].tolist() == [7]
