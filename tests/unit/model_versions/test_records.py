"""Tests of the records in the tags of a version."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.model_versions.records import (
    ApprovalRecord,
    GatesRecord,
    PromotionRecord,
    RollbackRecord,
    TrafficRecord,
    parse_events,
)
from holdfast.model_versions.version_tags import EVENTS_TAG, BadRecordError, TaggedRecord

NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)
WAITING = ApprovalRecord(status="waiting", since=NOON, until=NOON + timedelta(hours=1), flow_run="run", gates="k")
RECORDS: list[TaggedRecord] = [
    GatesRecord(verdict="failed", champion=None, settings="s", when=NOON, failed=["size"], key="k"),
    WAITING,
    PromotionRecord(previous="1", when=NOON, who="ann", why="better", mode="manual", gates="k"),
    RollbackRecord(to="1", when=NOON, who="ann", why="worse", times=2),
    TrafficRecord(mode="canary", share=0.05, when=NOON, who="ann"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.TAG)
def test_from_tags_saved_record_returns_equal_record(record: TaggedRecord) -> None:
    stored = {record.TAG: record.model_dump_json()}
    assert type(record).from_tags(stored, "3") == record
    assert type(record).from_tags({}, "3") is None
    assert "\n" not in stored[record.TAG]


def test_record_tags_all_classes_unique() -> None:
    assert sorted(record.TAG for record in RECORDS) == [
        "holdfast.approval",
        "holdfast.gates",
        "holdfast.promotion",
        "holdfast.rollback",
        "holdfast.traffic",
    ]


@pytest.mark.parametrize("text", ["", "passed", "{}", '{"verdict": "fine"}'])
def test_from_tags_invalid_text_raises_naming_tag(text: str) -> None:
    with pytest.raises(BadRecordError, match=r"holdfast\.gates of version 3 is not a GatesRecord"):
        GatesRecord.from_tags({GatesRecord.TAG: text}, "3")


class TestEvaluateAt:
    def test_evaluate_at_deadline_waits(self) -> None:
        assert WAITING.evaluate_at(WAITING.until) == WAITING

    def test_evaluate_at_after_deadline_timed_out(self) -> None:
        late = WAITING.evaluate_at(WAITING.until + timedelta(microseconds=1))
        assert (late.status, late.when, late.why) == ("timed out", WAITING.until, "no answer in time")

    @pytest.mark.parametrize("status", ["approved", "refused", "timed out"])
    def test_evaluate_at_answered_record_unchanged(self, status: str) -> None:
        answered = WAITING.model_copy(update={"status": status})
        assert answered.evaluate_at(NOON + timedelta(days=365)) == answered


class Registry:
    """Fake MLflow client with the tags of one version."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.model_name = "holdfast-churn"

    def get_model_version(self, *_: str) -> Any:
        return SimpleNamespace(tags=dict(self.tags))

    def set_model_version_tag(self, name: str, version: str, tag: str, value: str) -> None:
        assert len(value) <= 100_000
        self.tags[tag] = value


class TestEvents:
    @pytest.fixture
    def registry(self) -> Any:
        return Registry()

    def test_save_appends_each_record(self, registry: Any) -> None:
        refused = WAITING.model_copy(update={"status": "refused", "who": "bob", "when": NOON, "why": "no"})
        again = WAITING.model_copy(update={"flow_run": "later"})
        saved = [*RECORDS, refused, again]
        for record in [*saved, again]:  # appended twice, stored once
            record.save(registry, "3")
        assert parse_events(registry.tags, "3") == saved
        assert ApprovalRecord.from_tags(registry.tags, "3") == again
        assert parse_events({}, "3") is None

    def test_write_tag_appends_no_event(self, registry: Any) -> None:
        RECORDS[2].write_tag(registry, "3")
        assert PromotionRecord.from_tags(registry.tags, "3") == RECORDS[2]
        assert parse_events(registry.tags, "3") is None

    def test_save_long_list_keeps_newest_within_tag_limit(self, registry: Any) -> None:
        for number in range(103):
            WAITING.model_copy(update={"flow_run": str(number)}).save(registry, "3")
        stored = parse_events(registry.tags, "3")
        assert [record.flow_run for record in stored or [] if isinstance(record, ApprovalRecord)] == [
            str(number) for number in range(3, 103)
        ]
        for number in range(3):
            WAITING.model_copy(update={"flow_run": f"long {number}", "why": "x" * 40_000}).save(registry, "3")
        stored = parse_events(registry.tags, "3")
        assert stored is not None and [record.model_dump()["flow_run"] for record in stored][-1] == "long 2"

    @pytest.mark.parametrize("text", ["", "{}", '"x"', "[1]", '[{"kind": "x", "record": {}}]'])
    def test_parse_events_invalid_text_raises_naming_tag(self, text: str) -> None:
        with pytest.raises(BadRecordError, match=r"holdfast\.events of version 3 is not a list"):
            parse_events({EVENTS_TAG: text}, "3")

    def test_save_one_record_event_has_kind_and_record(self, registry: Any) -> None:
        RECORDS[0].save(registry, "3")
        (event,) = json.loads(registry.tags[EVENTS_TAG])
        assert event.keys() == {"kind", "record"}
        assert (event["kind"], event["record"]["failed"]) == ("holdfast.gates", ["size"])
