"""Resolution of ``as_of`` and ``known_at``."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.ingestion.as_of import ClockError, resolve_as_of, resolve_daily_as_of, resolve_known_at
from tests.support.feature_oracle import Transaction
from tests.support.small_shop import AS_OF, ingest, shop_folder

NOON = datetime(2024, 5, 5, 12, 0, 0, 250, tzinfo=UTC)
NOW = datetime.now(UTC)
KOLKATA = timezone(timedelta(hours=5, minutes=30))


def test_as_utc_with_naive_time_reads_utc() -> None:
    assert as_utc(NOON.replace(tzinfo=None)) == NOON
    assert as_utc(NOON.astimezone(KOLKATA)) == NOON
    assert as_utc(NOON.astimezone(KOLKATA)).tzinfo is UTC


@pytest.mark.parametrize("clock", ["wall", "data", AS_OF])
def test_resolve_as_of_with_given_time_ignores_the_clock(tmp_path: Path, clock: object) -> None:
    settings = Settings(data=tmp_path, clock=clock)  # type: ignore[arg-type]
    assert resolve_as_of(NOON.replace(tzinfo=None), settings, NOW) == NOON
    assert resolve_as_of(NOON.astimezone(KOLKATA), settings, NOW) == NOON


def test_resolve_as_of_with_fixed_clock_returns_its_time(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, clock=AS_OF.astimezone(KOLKATA))
    assert resolve_as_of(None, settings, NOW) == AS_OF
    assert resolve_as_of(None, settings, NOW).tzinfo is UTC


def test_resolve_as_of_on_the_wall_clock_is_the_time_of_the_run_in_whole_seconds(tmp_path: Path) -> None:
    assert resolve_as_of(None, Settings(data=tmp_path), NOON) == NOON.replace(microsecond=0)


def test_resolve_daily_as_of_on_the_wall_clock_returns_the_last_midnight(tmp_path: Path) -> None:
    assert resolve_daily_as_of(None, Settings(data=tmp_path), AS_OF + timedelta(hours=1, seconds=3)) == AS_OF
    assert resolve_daily_as_of(NOON, Settings(data=tmp_path), NOW) == NOON
    assert resolve_daily_as_of(None, Settings(data=tmp_path, clock=NOON), NOW) == NOON


def test_resolve_as_of_with_data_clock_returns_the_midnight_after_the_last_event(tmp_path: Path) -> None:
    assert resolve_as_of(None, Settings(data=shop_folder(), clock="data"), NOW) == AS_OF
    for hour, expected in ((0, 2), (23, 2), (24, 3)):
        data = tmp_path / str(hour)
        last = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
        ingest(data, [Transaction("a", last, 1.0, last), Transaction("b", last - timedelta(days=9), 1.0, last)], AS_OF)
        assert resolve_as_of(None, Settings(data=data, clock="data"), NOW) == datetime(2024, 1, expected, tzinfo=UTC)


def test_resolve_as_of_with_data_clock_without_data_raises(tmp_path: Path) -> None:
    with pytest.raises(ClockError, match=r"CLOCK=data needs data.*python -m flows\.ingest"):
        resolve_as_of(None, Settings(data=tmp_path, clock="data"), NOW)


def test_resolve_known_at_defaults_to_now() -> None:
    assert resolve_known_at(NOON.replace(tzinfo=None)) == NOON
    assert abs(datetime.now(UTC) - resolve_known_at(None)) < timedelta(seconds=30)
