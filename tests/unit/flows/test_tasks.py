"""Run names and times that the flows share."""

from datetime import UTC, datetime, timedelta

import pytest

from flows._tasks import run_time

NOON = datetime(2024, 5, 5, 12, 0, 0, 250, tzinfo=UTC)


def test_run_time_of_a_scheduled_run_is_the_time_of_its_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.runtime import flow_run

    # Not setattr: the module computes the attribute, and undoing that would leave the time of this test behind.
    monkeypatch.setitem(vars(flow_run), "scheduled_start_time", NOON)
    assert run_time() == NOON


def test_run_time_without_a_schedule_is_the_current_time() -> None:
    assert abs(datetime.now(UTC) - run_time()) < timedelta(seconds=30)
