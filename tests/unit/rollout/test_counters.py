"""Tests of the counter tracker across restarts of the service and interrupted runs."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.model_versions.records import RolloutRecord
from holdfast.rollout.counters import RECENT, CounterTracker

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PLAIN = {"answered": 0.0, "failed": 0.0, "unavailable": 0.0}


def _record(base: dict[str, float]) -> RolloutRecord:
    return RolloutRecord(
        step="canary", share=0.05, begun=NOON, when=NOON, verdict="begun", champion="1", gates="k", base=base
    )


def _make_tracker(record: RolloutRecord) -> CounterTracker:
    return CounterTracker(RolloutRecord.model_validate_json(record.model_dump_json()), ("2", "1"))


def test_update_after_restart_adds_counts_of_both_processes() -> None:
    """The new process exceeds the counters of the old process at the start of the step."""
    tracker = _make_tracker(_record(PLAIN | {"answered": 50.0}))
    for answered, failed in ((60, 0), (10, 1), (100, 5)):
        tracker.update(PLAIN | {"answered": float(answered), "failed": float(failed)}, NOON)
    assert tracker.counters == PLAIN | {"answered": 110.0, "failed": 5.0}
    assert tracker.start_counters["answered"] == 50, "the reference before the step is still available"


def test_update_after_restart_adds_latency_buckets() -> None:
    name = "seconds:2:inf"
    tracker = _make_tracker(_record(PLAIN | {"answered": 50.0, name: 40.0}))
    for value in (45.0, 3.0, 80.0):
        tracker.update(PLAIN | {"answered": value + 10, name: value}, NOON)
    assert tracker.counters[name] == 5 + 80


def test_update_without_start_counters_counts_from_first_response() -> None:
    record = _record({})
    tracker = _make_tracker(record)
    tracker.update(PLAIN | {"answered": 7.0, "failures:9": 3.0}, NOON)
    assert tracker.counters["answered"] == 0
    assert tracker.update_record(record).start_counters == PLAIN | {"answered": 7.0}


def test_update_record_without_restart_returns_same_record() -> None:
    record = _record(PLAIN | {"answered": 50.0})
    tracker = _make_tracker(record)
    tracker.update(PLAIN | {"answered": 60.0}, NOON)
    assert tracker.update_record(record) is record
    tracker.update(PLAIN | {"answered": 5.0}, NOON)
    noted = tracker.update_record(record)
    assert (noted.start_counters, noted.restart_counters) == (record.start_counters, PLAIN | {"answered": 10.0})
    assert tracker.update_record(noted) is noted


def test_recent_counters_after_restart_exclude_old_outage() -> None:
    tracker = _make_tracker(_record(PLAIN | {"answered": 50.0}))
    minute = timedelta(minutes=1)
    for number in range(1, 11):  # an outage of three minutes, then another process
        process = 50.0 if number <= 4 else 0.0
        away = 10.0 * min(number, 3) if number <= 4 else 0.0
        at = NOON + number * minute
        tracker.update(PLAIN | {"answered": process + number * 10, "unavailable": away}, at)
        since = max(0, number - RECENT // minute)
        assert tracker.recent_counters["unavailable"] == 10 * (min(number, 3) - min(since, 3)), number
    assert tracker.counters["unavailable"] == 30


def test_recent_counters_resumed_run_start_at_step_start() -> None:
    tracker = _make_tracker(_record(PLAIN))
    for minutes, expected in ((60, 40), (64, 40), (65, 0)):
        tracker.update(PLAIN | {"answered": 90.0, "unavailable": 40.0}, NOON + timedelta(minutes=minutes))
        assert tracker.recent_counters["unavailable"] == expected


_PROCESSES = st.lists(st.lists(st.integers(0, 60), min_size=2, max_size=4), min_size=1, max_size=4)


@given(st.integers(0, 50), _PROCESSES, st.sets(st.integers(0, 2)))
@settings(deadline=None)
def test_counters_random_restarts_and_kills_count_each_request_once(
    before: int, processes: list[list[int]], killed_after: set[int]
) -> None:
    """Each process answers some requests between polls; the polling run is killed between two polls."""
    record = _record(PLAIN | {"answered": float(before)})
    tracker, answered, expected = _make_tracker(record), before, 0
    for number, process in enumerate(processes):
        if number:  # one that has not yet answered as many as the one before had
            answered, process = 0, [min(process[0], answered - 1), *process[1:]] if answered else []
        for look, more in enumerate(process):
            answered += more
            expected += more
            tracker.update(PLAIN | {"answered": float(answered)}, NOON)
            assert tracker.counters["answered"] == expected
            record = tracker.update_record(record)
            if look in killed_after and look < len(process) - 1:
                tracker = _make_tracker(record)
