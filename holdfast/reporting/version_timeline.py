"""What became of a version, in the order in which it happened."""

from datetime import datetime
from itertools import pairwise
from typing import TypeVar

from holdfast.lineage.version_history import VersionHistory
from holdfast.model_versions.gate_settings import describe_changed_thresholds
from holdfast.model_versions.records import (
    ApprovalRecord,
    GatesRecord,
    PromotionRecord,
    RetrainingRecord,
    RollbackRecord,
    RolloutRecord,
    TaggedRecord,
    TrafficRecord,
)
from holdfast.models.contract import CHALLENGER, CHAMPION

_Record = TypeVar("_Record", bound=TaggedRecord)


def build_timeline(history: VersionHistory) -> list[tuple[datetime, str]]:
    """Moments and what happened then, the oldest first."""
    told = [(history.registered_at, "registered")]
    for retraining in _all(history, None, RetrainingRecord):
        told.append((retraining.when, retraining.summary))
    for gates in _all(history, history.gates, GatesRecord):
        against = f"beside version {gates.champion}" if gates.champion else "no champion to compare with"
        failed = f" ({', '.join(gates.failed)})" if gates.failed else ""
        told.append((gates.when, f"gates {gates.verdict}{failed}, {against}"))
    for approval in _requests(history):
        told.append((approval.since, f"a person was asked, to answer until {approval.until:%Y-%m-%d %H:%M} UTC"))
        if approval.status != "waiting" and approval.when:
            by = f" by {approval.who}" if approval.who else ""
            told.append((approval.when, f"{approval.status}{by}: {approval.why}"))
    for traffic in _all(history, None, TrafficRecord):
        told.append((traffic.when, f"{traffic.summary}, by {traffic.who}"))
    for rollout in _all(history, None, RolloutRecord):
        told.append((rollout.when, rollout.summary))
    for promotion in _all(history, history.promotion, PromotionRecord):
        after = f" after version {promotion.previous}" if promotion.previous else ""
        told.append((promotion.when, f"{CHAMPION}{after}, approved {_by(promotion)}: {promotion.why}"))
    for version, record in history.successors:
        told.append((record.when, f"followed by version {version} as {CHAMPION}"))
    for rollback in _all(history, history.rollback, RollbackRecord):
        times = f" ({rollback.times} times by then)" if rollback.times > 1 else ""
        told.append((rollback.when, f"rolled back to version {rollback.to}{times}, by {rollback.who}: {rollback.why}"))
    for version, back in history.returns:
        told.append((back.when, f"{CHAMPION} again: version {version} was rolled back, by {back.who}: {back.why}"))
    return sorted(told, key=lambda item: item[0])


def _all(history: VersionHistory, latest: _Record | None, kind: type[_Record]) -> list[_Record]:
    """All that was told of a kind; the latest as well, which versions from before events were kept have alone."""
    told: list[_Record] = [event for event in history.events if isinstance(event, kind)]
    return told if latest is None or latest in told else [*told, latest]


def _requests(history: VersionHistory) -> list[ApprovalRecord]:
    """What came of each request, the oldest first. A later request makes one that still waits void."""
    by_run = {record.flow_run: record for record in _all(history, history.approval, ApprovalRecord)}
    found = sorted(by_run.values(), key=lambda record: record.since)
    return [record.evaluate_at(later.since) for record, later in pairwise(found)] + found[-1:]


def describe_approval(history: VersionHistory) -> str:
    """Who approved it, when and why; or that nobody has."""
    if promotion := history.promotion:
        own = describe_changed_thresholds(promotion.thresholds)
        told = f"Approved {_by(promotion)} on {promotion.when:%Y-%m-%d %H:%M} UTC: {promotion.why}"
        return f"{told}. {own}" if own else told
    approval = history.approval
    if approval is None or approval.status == "approved":  # approved, but the alias has not moved
        return "Not approved yet"
    if approval.status == "waiting":
        return f"Not approved yet: a person is asked, and no answer by {approval.until:%Y-%m-%d %H:%M} UTC is a refusal"
    return f"Not approved: {approval.status}{f' by {approval.who}' if approval.who else ''}: {approval.why}"


def _since(history: VersionHistory) -> datetime:
    """When it last became champion; when it was registered if it never did."""
    taken = [back.when for _, back in history.returns] + ([history.promotion.when] if history.promotion else [])
    return max(taken, default=history.registered_at)


def _by(promotion: PromotionRecord) -> str:
    return "automatically" if promotion.mode == "auto" else f"by {promotion.who}"


def describe_status(history: VersionHistory) -> str:
    """Where it stands now, in a few words."""
    if CHAMPION in history.aliases:
        return f"{CHAMPION}: in service"
    if history.approval and history.approval.status == "waiting":
        return "waits for a person's approval"
    if CHALLENGER in history.aliases:
        return f"{CHALLENGER}: passed its gates, not approved yet"
    if history.rollback and history.rollback.when >= _since(history):
        return f"rolled back to version {history.rollback.to}: out of service"
    if history.promotion:
        return f"a former {CHAMPION}: out of service"
    if history.gates is None:
        return "registered: not judged yet"
    return f"registered: gates {history.gates.verdict}, not approved"
