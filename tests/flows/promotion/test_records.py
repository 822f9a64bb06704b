"""The records in the tags of a version."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.promotion.records import ApprovalRecord, BadRecordError, GatesRecord, PromotionRecord, Record, RollbackRecord

NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)
WAITING = ApprovalRecord(status="waiting", since=NOON, until=NOON + timedelta(hours=1), flow_run="run", gates="k")
RECORDS: list[Record] = [
    GatesRecord(verdict="failed", champion=None, settings="s", when=NOON, failed=["size"], key="k"),
    WAITING,
    PromotionRecord(previous="1", when=NOON, who="ann", why="better", mode="manual", gates="k"),
    RollbackRecord(to="1", when=NOON, who="ann", why="worse", times=2),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.TAG)
def test_what_is_written_is_read(record: Record) -> None:
    kept = {record.TAG: record.model_dump_json()}
    assert type(record).in_tags(kept, "3") == record
    assert type(record).in_tags({}, "3") is None
    assert "\n" not in kept[record.TAG]


def test_every_record_has_a_tag_of_its_own() -> None:
    assert sorted(record.TAG for record in RECORDS) == [
        "holdfast.approval",
        "holdfast.gates",
        "holdfast.promotion",
        "holdfast.rollback",
    ]


@pytest.mark.parametrize("text", ["", "passed", "{}", '{"verdict": "fine"}'])
def test_a_tag_that_somebody_else_wrote_is_named(text: str) -> None:
    with pytest.raises(BadRecordError, match=r"holdfast\.gates of holdfast-churn version 3 is no GatesRecord"):
        GatesRecord.in_tags({GatesRecord.TAG: text}, "3")


class TestStanding:
    def test_until_the_last_moment_it_waits(self) -> None:
        assert WAITING.standing(WAITING.until) == WAITING

    def test_after_it_nobody_has_approved(self) -> None:
        late = WAITING.standing(WAITING.until + timedelta(microseconds=1))
        assert (late.status, late.when, late.why) == ("timed out", WAITING.until, "nobody answered in time")

    @pytest.mark.parametrize("status", ["approved", "refused", "timed out"])
    def test_an_answer_stands(self, status: str) -> None:
        answered = WAITING.model_copy(update={"status": status})
        assert answered.standing(NOON + timedelta(days=365)) == answered
