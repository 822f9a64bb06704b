"""Scoring run: days of a backfill, and invalid ranges."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from holdfast.batch_scoring.scoring_run import BackfillRangeError, list_backfill_days
from tests.support.small_shop import shop_folder


def _days(start: str, end: str, every: int = 1) -> list[datetime]:
    return list_backfill_days(Settings(data=shop_folder()), date.fromisoformat(start), date.fromisoformat(end), every)


def test_list_backfill_days_includes_both_ends() -> None:
    assert _days("2024-03-01", "2024-03-01") == [datetime(2024, 3, 1, tzinfo=UTC)]
    assert [day.day for day in _days("2024-02-28", "2024-03-02")] == [28, 29, 1, 2]
    assert [day.day for day in _days("2024-03-01", "2024-03-09", 3)] == [1, 4, 7]


def test_list_backfill_days_limits_are_covered_by_data() -> None:
    assert len(_days("2023-01-06", "2024-07-01")) == 543


@pytest.mark.parametrize(
    ("start", "end", "every", "message"),
    [
        ("2024-03-02", "2024-03-01", 1, "empty: start 2024-03-02 is after end 2024-03-01"),
        ("2024-06-01", "2024-07-02", 1, "not covered by data: .* Choose days from 2023-01-06 to 2024-07-01"),
        ("2023-01-05", "2023-02-01", 1, "the first transaction is of 2023-01-05"),
        ("2030-01-01", "2030-01-02", 1, "the last of 2024-06-30"),
        ("2024-03-01", "2024-03-02", 0, "The interval of 0 days is too short"),
    ],
)
def test_list_backfill_days_invalid_range_raises(start: str, end: str, every: int, message: str) -> None:
    with pytest.raises(BackfillRangeError, match=message):
        _days(start, end, every)


def test_list_backfill_days_without_data_raises(tmp_path: Path) -> None:
    with pytest.raises(BackfillRangeError, match=r"python -m flows\.ingest"):
        list_backfill_days(Settings(data=tmp_path), date(2024, 1, 1), date(2024, 1, 2), 1)
