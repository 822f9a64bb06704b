"""Timeline, approval and status of a version."""

from datetime import timedelta
from typing import Any

import pytest

from holdfast.model_versions.records import RolloutRecord, TrafficRecord
from holdfast.reporting.version_timeline import build_timeline, describe_approval, describe_status
from tests.support.version_histories import APPROVAL, GATES, NOON, PROMOTION, ROLLBACK, history

REFUSED = APPROVAL.model_copy(update={"status": "refused", "who": "Ada", "when": NOON, "why": "too early"})
FAILED = GATES.model_copy(update={"verdict": "failed", "failed": ["stability", "size"], "champion": "2"})


def test_timeline_has_all_events_in_order() -> None:
    approved = APPROVAL.model_copy(
        update={"status": "approved", "who": "Ada", "when": NOON + timedelta(minutes=90), "why": "better"}
    )
    back = ROLLBACK.model_copy(update={"to": "3", "when": NOON + timedelta(days=9)})
    next_one = PROMOTION.model_copy(update={"previous": "3", "when": NOON + timedelta(days=8)})
    events = build_timeline(
        history(
            approval=approved,
            promotion=PROMOTION,
            rollback=ROLLBACK,
            successors=[("4", next_one)],
            returns=[("4", back)],
        )
    )
    assert [time for time, _ in events] == sorted(time for time, _ in events)
    assert [text for _, text in events] == [
        "registered",
        "gates passed, without a champion",
        "approval requested, until 2024-07-04 12:00 UTC",
        "approved, claimed by Ada: better",
        "champion after version 2. Approved, claimed by Ada: better",
        "rolled back to version 2, claimed by Bob: complaints",
        "replaced by version 4 as champion",
        "champion again: version 4 was rolled back, claimed by Bob: complaints",
    ]


def test_timeline_has_every_request_promotion_and_rollback() -> None:
    def at(hours: int) -> Any:
        return NOON + timedelta(hours=hours)

    def request(run: str, hours: int, **changed: Any) -> Any:
        fields = {"flow_run": run, "since": at(hours), "until": at(hours + 4), **changed}
        return APPROVAL.model_copy(update=fields)

    refused = {"status": "refused", "who": "Ada", "when": at(2), "why": "too early"}
    approved = {"status": "approved", "who": "Ada", "when": at(21), "why": "fine"}
    promotions = [PROMOTION.model_copy(update={"when": at(hours)}) for hours in (22, 24)]
    rollbacks = [ROLLBACK.model_copy(update={"when": at(23)}), ROLLBACK.model_copy(update={"when": at(25), "times": 2})]
    events = [
        GATES,
        request("a", 1),
        request("a", 1, **refused),
        request("b", 3),  # no answer
        request("c", 10),  # replaced by the next request
        request("d", 12),
        request("d", 12, status="timed out", when=at(16), why="no answer in time"),
        request("e", 20),
        request("e", 20, **approved),
        *promotions,
        *rollbacks,
    ]
    latest = {"approval": request("e", 20, **approved), "promotion": promotions[1], "rollback": rollbacks[1]}
    entries = [
        (time - NOON, text.split(",")[0].split(":")[0])
        for time, text in build_timeline(history(events=events, **latest))
    ]
    hours = [(int(time / timedelta(hours=1)), text) for time, text in entries]
    assert hours[1:] == [
        (0, "gates passed"),
        (1, "approval requested"),
        (2, "refused"),
        (3, "approval requested"),
        (7, "timed out"),
        (10, "approval requested"),
        (12, "approval requested"),
        (16, "timed out"),
        (20, "approval requested"),
        (21, "approved"),
        (22, "champion after version 2. Approved"),
        (23, "rolled back to version 2"),
        (24, "champion after version 2. Approved"),
        (25, "rolled back to version 2 (rollback 2 of this version)"),
    ]


def test_timeline_has_traffic() -> None:
    events = [
        TrafficRecord(mode=mode, share=share, when=NOON + timedelta(hours=hours), who="Ann")
        for hours, (mode, share) in enumerate([("shadow", 0.0), ("canary", 0.05), ("off", 0.0)], start=1)
    ]
    assert [text for _, text in build_timeline(history(events=[GATES, *events]))[2:]] == [
        "shadow traffic, claimed by Ann",
        "canary for 5.0% of the customers, claimed by Ann",
        "traffic off, claimed by Ann",
    ]


def test_timeline_names_failed_gates() -> None:
    events = build_timeline(history(gates=FAILED))
    assert events[-1][1] == "gates failed (stability, size), compared with version 2"


def test_timeline_without_gates_is_the_registration() -> None:
    assert [text for _, text in build_timeline(history(gates=None))] == ["registered"]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"aliases": ["champion"], "rollback": ROLLBACK}, "champion: in service"),
        ({}, "challenger: passed its gates, not approved yet"),
        ({"approval": APPROVAL}, "awaiting approval"),
        ({"aliases": [], "promotion": PROMOTION, "rollback": ROLLBACK}, "rolled back to version 2: out of service"),
        (
            {"aliases": [], "promotion": PROMOTION, "rollback": ROLLBACK.model_copy(update={"when": NOON})},
            "a former champion: out of service",
        ),
        ({"aliases": [], "promotion": PROMOTION}, "a former champion: out of service"),
        ({"aliases": [], "gates": None}, "registered: not evaluated yet"),
        ({"aliases": [], "gates": FAILED}, "registered: gates failed, not approved"),
        ({"aliases": [], "approval": REFUSED}, "registered: gates passed, not approved"),
    ],
)
def test_describe_status(changed: dict[str, Any], status: str) -> None:
    assert describe_status(history(**changed)) == status


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, "Not approved yet"),
        ({"approval": APPROVAL}, "requested until 2024-07-04 12:00 UTC; without an answer it is refused"),
        ({"approval": REFUSED}, "Not approved: refused, claimed by Ada: too early"),
        ({"promotion": PROMOTION}, "Approved, claimed by Ada on 2024-07-01 14:00 UTC: better"),
        ({"promotion": PROMOTION.model_copy(update={"mode": "auto", "who": "auto"})}, "Approved automatically on"),
        (
            {"promotion": PROMOTION.model_copy(update={"thresholds": {"max_size_mb": 30}})},
            "better. Thresholds other than the defaults: max_size_mb 30.",
        ),
    ],
)
def test_describe_approval(changed: dict[str, Any], text: str) -> None:
    assert text in describe_approval(history(**changed))


def test_timeline_has_rollout_steps() -> None:
    common: dict[str, Any] = {"champion": "1", "gates": "k", "begun": NOON}
    events = [
        RolloutRecord(step="shadow", share=0, when=NOON, verdict="begun", **common),
        RolloutRecord(
            step="shadow",
            share=0,
            when=NOON + timedelta(hours=1),
            verdict="passed",
            requests=200,
            customers=90,
            others=12,
            **common,
        ),
        RolloutRecord(
            step="canary",
            share=0.05,
            when=NOON + timedelta(hours=2),
            verdict="breached",
            requests=12,
            why="too slow",
            **common,
        ),
    ]
    assert [text for _, text in build_timeline(history(events=events)) if text.startswith("rollout")] == [
        "rollout, shadow: begun",
        "rollout, shadow: passed after 200 requests about 90 active customers (and 12 inactive, not evaluated)",
        "rollout, canary of 5.0%: breached after 12 requests: too slow",
    ]
