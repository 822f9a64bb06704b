"""Backfill: the missing days only, going on where a killed one stopped, the online store left alone."""

import os
import signal
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.batch_scoring.score_store import list_score_tables
from holdfast.batch_scoring.scores_table import read_scores
from holdfast.batch_scoring.scoring_run import BackfillRangeError
from tests.support.registered_versions import register_champion
from tests.support.score_tables import stat_score_files
from tests.support.small_shop import AS_OF, KNOWN_AT, join_process, prefect_api, start_process

pytestmark = pytest.mark.long

FIRST, LAST = date(2024, 5, 1), date(2024, 5, 5)


@pytest.fixture
def settings(registry_shop: tuple[Settings, Any]) -> Settings:
    """Settings of a shop with a registered champion."""
    register_champion(registry_shop[1])
    return registry_shop[0]


def _scored(settings: Settings) -> list[date]:
    return [item.as_of.date() for item in list_score_tables(settings)]


def _online(settings: Settings) -> dict[str, tuple[int, int]]:
    found = [path for path in settings.feast.rglob("*") if path.is_file()]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def test_backfill_scored_days_are_skipped_and_online_store_is_unchanged(settings: Settings) -> None:
    from prefect.artifacts import Artifact

    from flows.backfill import backfill
    from flows.score import score

    online = _online(settings)
    done = score(datetime(2024, 5, 3, tzinfo=UTC), KNOWN_AT)
    before = stat_score_files(settings)
    result = backfill(FIRST, LAST, every=2)
    assert [day.day for day in result.scored] == [1, 5]
    assert [day.day for day in result.skipped] == [3]
    assert "Scored 2 days (2024-05-01 to 2024-05-05) with version" in result.summary()
    assert "skipped 1 day (2024-05-03 to 2024-05-03), which have scores." in result.summary()
    after = stat_score_files(settings)
    assert after.items() >= before.items()
    for name, day in {done.table.path.name: 3, "2024-05-05.parquet": 5}.items():
        assert set(read_scores(settings.scores / name)["as_of"]) == {datetime(2024, 5, day, tzinfo=UTC)}
    assert "2024-05-05" in (Artifact.get("backfill-days") or pytest.fail("no table")).data

    rest = backfill(FIRST, LAST)
    assert [day.day for day in rest.scored] == [2, 4]
    assert stat_score_files(settings).items() >= after.items()
    assert (
        backfill(FIRST, LAST).summary()
        == "Scored no day; skipped 5 days (2024-05-01 to 2024-05-05), which have scores."
    )
    assert _scored(settings) == [FIRST + timedelta(days=days) for days in range(5)]
    assert _online(settings) == online


def test_backfill_past_day_equals_score_of_that_day(settings: Settings) -> None:
    from flows.backfill import backfill
    from flows.score import score

    backfill(FIRST, FIRST)
    path = settings.scores / "2024-05-01.parquet"
    table = read_scores(path)
    path.unlink()
    assert read_scores(score(datetime(2024, 5, 1, tzinfo=UTC), KNOWN_AT).table.path).equals(table)


def _backfill_killed_at(nth: int) -> None:
    from flows.backfill import backfill
    from holdfast.batch_scoring import scores_table

    original, calls = scores_table.pq.write_table, 0

    def fatal(table: Any, path: Path) -> None:
        nonlocal calls
        calls += path.parent.parent.name == "scores"  # not those of snapshots
        original(table, path)
        if calls == nth:
            path.write_bytes(path.read_bytes()[:100])
            os.kill(os.getpid(), signal.SIGKILL)

    scores_table.pq.write_table = fatal
    backfill(FIRST, LAST)


def test_backfill_killed_run_continues_at_the_next_day(settings: Settings) -> None:
    from flows.backfill import backfill

    child = start_process(_backfill_killed_at, settings.data, 3, api=prefect_api())
    assert join_process(child) == -signal.SIGKILL
    before = {name: stored for name, stored in stat_score_files(settings).items() if "writing" not in name}
    assert sorted(before) == ["2024-05-01.parquet", "2024-05-02.parquet"]
    assert [day.day for day in backfill(FIRST, LAST).scored] == [3, 4, 5]
    assert stat_score_files(settings).items() >= before.items()
    assert all(len(read_scores(item.path)) for item in list_score_tables(settings))
    assert len(list_score_tables(settings)) == 5


def test_backfill_range_beyond_the_data_raises_and_writes_nothing(settings: Settings) -> None:
    from flows.backfill import backfill

    with pytest.raises(BackfillRangeError, match=f"not covered by data: .* to {AS_OF:%Y-%m-%d}, or ingest more"):
        backfill(date(2024, 6, 30), date(2024, 7, 2))
    assert stat_score_files(settings) == {}
