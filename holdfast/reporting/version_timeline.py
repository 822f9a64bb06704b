"""Timeline of a version, and its status in words."""

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
    TrafficRecord,
)
from holdfast.model_versions.version_tags import TaggedRecord
from holdfast.models.contract import CHALLENGER, CHAMPION

_Record = TypeVar("_Record", bound=TaggedRecord)


def build_timeline(history: VersionHistory) -> list[tuple[datetime, str]]:
    """Build the timeline of a version.

    Args:
        history: History of the version.

    Returns:
        Time and text of each event, oldest first.
    """
    events = [(history.registered_at, f"registered, trained {history.trainer}" if history.trainer else "registered")]
    for retraining in _all(history, None, RetrainingRecord):
        events.append((retraining.when, retraining.summary))
    for gates in _all(history, history.gates, GatesRecord):
        baseline = f"compared with version {gates.champion}" if gates.champion else "without a champion"
        failed = f" ({', '.join(gates.failed)})" if gates.failed else ""
        events.append((gates.when, f"gates {gates.verdict}{failed}, {baseline}"))
    for approval in _requests(history):
        events.append((approval.since, f"approval requested, until {approval.until:%Y-%m-%d %H:%M} UTC"))
        if approval.status != "waiting" and approval.when:
            by = f", {approval.by}" if approval.who else ""
            events.append((approval.when, f"{approval.status}{by}: {approval.why}"))
    for traffic in _all(history, None, TrafficRecord):
        events.append((traffic.when, f"{traffic.summary}, {traffic.by}"))
    for rollout in _all(history, None, RolloutRecord):
        events.append((rollout.when, rollout.summary))
    for promotion in _all(history, history.promotion, PromotionRecord):
        after = f" after version {promotion.previous}" if promotion.previous else ""
        events.append((promotion.when, f"{CHAMPION}{after}. {promotion.approval}: {promotion.why}"))
    for version, record in history.successors:
        events.append((record.when, f"replaced by version {version} as {CHAMPION}"))
    for rollback in _all(history, history.rollback, RollbackRecord):
        times = f" (rollback {rollback.times} of this version)" if rollback.times > 1 else ""
        events.append((rollback.when, f"rolled back to version {rollback.to}{times}, {rollback.by}: {rollback.why}"))
    for version, rollback in history.returns:
        text = f"{CHAMPION} again: version {version} was rolled back, {rollback.by}: {rollback.why}"
        events.append((rollback.when, text))
    return sorted(events, key=lambda item: item[0])


def _all(history: VersionHistory, latest: _Record | None, kind: type[_Record]) -> list[_Record]:
    """List all events of a kind; versions from before events were stored have the latest record only."""
    events: list[_Record] = [event for event in history.events if isinstance(event, kind)]
    return events if latest is None or latest in events else [*events, latest]


def _requests(history: VersionHistory) -> list[ApprovalRecord]:
    """List the result of each approval request, oldest first; a later request replaces an open one."""
    by_run = {record.flow_run: record for record in _all(history, history.approval, ApprovalRecord)}
    found = sorted(by_run.values(), key=lambda record: record.since)
    return [record.evaluate_at(later.since) for record, later in pairwise(found)] + found[-1:]


def describe_approval(history: VersionHistory) -> str:
    """Describe the approval of a version: operator, time and reason.

    Args:
        history: History of the version.

    Returns:
        One or two sentences.
    """
    if promotion := history.promotion:
        changed = describe_changed_thresholds(promotion.thresholds)
        text = f"{promotion.approval} on {promotion.when:%Y-%m-%d %H:%M} UTC: {promotion.why}"
        return f"{text}. {changed}" if changed else text
    approval = history.approval
    if approval is None or approval.status == "approved":  # approved, but the alias has not moved
        return "Not approved yet"
    if approval.status == "waiting":
        return f"Not approved yet: requested until {approval.until:%Y-%m-%d %H:%M} UTC; without an answer it is refused"
    return f"Not approved: {approval.status}{f', {approval.by}' if approval.who else ''}: {approval.why}"


def _champion_since(history: VersionHistory) -> datetime:
    """Return the time at which the version last became champion, or was registered."""
    times = [rollback.when for _, rollback in history.returns] + ([history.promotion.when] if history.promotion else [])
    return max(times, default=history.registered_at)


def describe_status(history: VersionHistory) -> str:
    """Describe the current status of a version.

    Args:
        history: History of the version.

    Returns:
        A few words.
    """
    if CHAMPION in history.aliases:
        return f"{CHAMPION}: in service"
    if history.approval and history.approval.status == "waiting":
        return "awaiting approval"
    if CHALLENGER in history.aliases:
        return f"{CHALLENGER}: passed its gates, not approved yet"
    if history.rollback and history.rollback.when >= _champion_since(history):
        return f"rolled back to version {history.rollback.to}: out of service"
    if history.promotion:
        return f"a former {CHAMPION}: out of service"
    if history.gates is None:
        return "registered: not evaluated yet"
    return f"registered: gates {history.gates.verdict}, not approved"
