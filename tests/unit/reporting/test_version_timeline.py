"""What became of a version, and where it stands."""

from datetime import timedelta
from typing import Any

import pytest

from holdfast.model_versions.records import RolloutRecord, TrafficRecord
from holdfast.reporting.version_timeline import build_timeline, describe_approval, describe_status
from tests.support.version_histories import APPROVAL, GATES, NOON, PROMOTION, ROLLBACK, history

REFUSED = APPROVAL.model_copy(update={"status": "refused", "who": "Ada", "when": NOON, "why": "too early"})
FAILED = GATES.model_copy(update={"verdict": "failed", "failed": ["stability", "size"], "champion": "2"})


def test_everything_is_told_in_the_order_in_which_it_happened() -> None:
    approved = APPROVAL.model_copy(
        update={"status": "approved", "who": "Ada", "when": NOON + timedelta(minutes=90), "why": "better"}
    )
    back = ROLLBACK.model_copy(update={"to": "3", "when": NOON + timedelta(days=9)})
    next_one = PROMOTION.model_copy(update={"previous": "3", "when": NOON + timedelta(days=8)})
    told = build_timeline(
        history(
            approval=approved,
            promotion=PROMOTION,
            rollback=ROLLBACK,
            successors=[("4", next_one)],
            returns=[("4", back)],
        )
    )
    assert [when for when, _ in told] == sorted(when for when, _ in told)
    assert [what for _, what in told] == [
        "registered",
        "gates passed, no champion to compare with",
        "a person was asked, to answer until 2024-07-04 12:00 UTC",
        "approved by Ada: better",
        "champion after version 2, approved by Ada: better",
        "rolled back to version 2, by Bob: complaints",
        "followed by version 4 as champion",
        "champion again: version 4 was rolled back, by Bob: complaints",
    ]


def test_every_request_promotion_and_rollback_is_told_not_the_latest_alone() -> None:
    def at(hours: int) -> Any:
        return NOON + timedelta(hours=hours)

    def asked(run: str, hours: int, **changed: Any) -> Any:
        fields = {"flow_run": run, "since": at(hours), "until": at(hours + 4), **changed}
        return APPROVAL.model_copy(update=fields)

    refused = {"status": "refused", "who": "Ada", "when": at(2), "why": "too early"}
    approved = {"status": "approved", "who": "Ada", "when": at(21), "why": "fine"}
    promotions = [PROMOTION.model_copy(update={"when": at(hours)}) for hours in (22, 24)]
    rollbacks = [ROLLBACK.model_copy(update={"when": at(23)}), ROLLBACK.model_copy(update={"when": at(25), "times": 2})]
    events = [
        GATES,
        asked("a", 1),
        asked("a", 1, **refused),
        asked("b", 3),  # nobody answers
        asked("c", 10),  # void: another request follows in time
        asked("d", 12),
        asked("d", 12, status="timed out", when=at(16), why="nobody answered in time"),
        asked("e", 20),
        asked("e", 20, **approved),
        *promotions,
        *rollbacks,
    ]
    latest = {"approval": asked("e", 20, **approved), "promotion": promotions[1], "rollback": rollbacks[1]}
    told = [
        (when - NOON, what.split(",")[0].split(":")[0])
        for when, what in build_timeline(history(events=events, **latest))
    ]
    hours = [(int(when / timedelta(hours=1)), what) for when, what in told]
    assert hours[1:] == [
        (0, "gates passed"),
        (1, "a person was asked"),
        (2, "refused by Ada"),
        (3, "a person was asked"),
        (7, "timed out"),
        (10, "a person was asked"),
        (12, "a person was asked"),
        (16, "timed out"),
        (20, "a person was asked"),
        (21, "approved by Ada"),
        (22, "champion after version 2"),
        (23, "rolled back to version 2"),
        (24, "champion after version 2"),
        (25, "rolled back to version 2 (2 times by then)"),
    ]


def test_what_it_was_tried_out_on_is_told() -> None:
    events = [
        TrafficRecord(mode=mode, share=share, when=NOON + timedelta(hours=hours), who="Ann")
        for hours, (mode, share) in enumerate([("shadow", 0.0), ("canary", 0.05), ("off", 0.0)], start=1)
    ]
    assert [what for _, what in build_timeline(history(events=[GATES, *events]))[2:]] == [
        "tried out in shadow, by Ann",
        "tried out on 5.0% of the customers, by Ann",
        "tried out no more, by Ann",
    ]


def test_failed_gates_are_named() -> None:
    told = build_timeline(history(gates=FAILED))
    assert told[-1][1] == "gates failed (stability, size), beside version 2"


def test_a_version_that_nobody_judged_was_only_registered() -> None:
    assert [what for _, what in build_timeline(history(gates=None))] == ["registered"]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"aliases": ["champion"], "rollback": ROLLBACK}, "champion: in service"),
        ({}, "challenger: passed its gates, not approved yet"),
        ({"approval": APPROVAL}, "waits for a person's approval"),
        ({"aliases": [], "promotion": PROMOTION, "rollback": ROLLBACK}, "rolled back to version 2: out of service"),
        (
            {"aliases": [], "promotion": PROMOTION, "rollback": ROLLBACK.model_copy(update={"when": NOON})},
            "a former champion: out of service",
        ),
        ({"aliases": [], "promotion": PROMOTION}, "a former champion: out of service"),
        ({"aliases": [], "gates": None}, "registered: not judged yet"),
        ({"aliases": [], "gates": FAILED}, "registered: gates failed, not approved"),
        ({"aliases": [], "approval": REFUSED}, "registered: gates passed, not approved"),
    ],
)
def test_where_it_stands(changed: dict[str, Any], status: str) -> None:
    assert describe_status(history(**changed)) == status


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, "Not approved yet"),
        ({"approval": APPROVAL}, "no answer by 2024-07-04 12:00 UTC is a refusal"),
        ({"approval": REFUSED}, "Not approved: refused by Ada: too early"),
        ({"promotion": PROMOTION}, "Approved by Ada on 2024-07-01 14:00 UTC: better"),
        ({"promotion": PROMOTION.model_copy(update={"mode": "auto", "who": "auto"})}, "Approved automatically on"),
        (
            {"promotion": PROMOTION.model_copy(update={"thresholds": {"max_size_mb": 30}})},
            "better. Thresholds other than the defaults: max_size_mb 30.",
        ),
    ],
)
def test_who_approved_it(changed: dict[str, Any], told: str) -> None:
    assert told in describe_approval(history(**changed))


def test_the_steps_of_a_rollout_are_told() -> None:
    known: dict[str, Any] = {"champion": "1", "gates": "k", "begun": NOON}
    events = [
        RolloutRecord(step="shadow", share=0, when=NOON, verdict="begun", **known),
        RolloutRecord(
            step="shadow",
            share=0,
            when=NOON + timedelta(hours=1),
            verdict="passed",
            requests=200,
            customers=90,
            others=12,
            **known,
        ),
        RolloutRecord(
            step="canary",
            share=0.05,
            when=NOON + timedelta(hours=2),
            verdict="breached",
            requests=12,
            why="too slow",
            **known,
        ),
    ]
    assert [what for _, what in build_timeline(history(events=events)) if what.startswith("rollout")] == [
        "rollout, shadow: begun",
        "rollout, shadow: passed after 200 requests about 90 active customers (and 12 others, not judged)",
        "rollout, canary of 5.0%: breached after 12 requests: too slow",
    ]
