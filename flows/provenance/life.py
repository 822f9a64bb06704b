"""What became of a version, in the order in which it happened."""

from datetime import datetime

from feature_repo.model_contract import CHAMPION
from flows.promotion.records import PromotionRecord
from flows.promotion.registry import CHALLENGER
from flows.provenance.history import History


def life_of(history: History) -> list[tuple[datetime, str]]:
    """Moments and what happened then, the oldest first."""
    told = [(history.registered_at, "registered")]
    if gates := history.gates:
        against = f"beside version {gates.champion}" if gates.champion else "no champion to compare with"
        failed = f" ({', '.join(gates.failed)})" if gates.failed else ""
        told.append((gates.when, f"gates {gates.verdict}{failed}, {against}"))
    if approval := history.approval:
        told.append((approval.since, f"a person was asked, to answer until {approval.until:%Y-%m-%d %H:%M} UTC"))
        if approval.status != "waiting" and approval.when:
            by = f" by {approval.who}" if approval.who else ""
            told.append((approval.when, f"{approval.status}{by}: {approval.why}"))
    if promotion := history.promotion:
        after = f" after version {promotion.previous}" if promotion.previous else ""
        told.append((promotion.when, f"{CHAMPION}{after}, approved {_by(promotion)}: {promotion.why}"))
    for version, record in history.successors.items():
        told.append((record.when, f"followed by version {version} as {CHAMPION}"))
    if rollback := history.rollback:
        times = f" ({rollback.times} times by now)" if rollback.times > 1 else ""
        told.append((rollback.when, f"rolled back to version {rollback.to}{times}, by {rollback.who}: {rollback.why}"))
    for version, back in history.returns.items():
        told.append((back.when, f"{CHAMPION} again: version {version} was rolled back, by {back.who}: {back.why}"))
    return sorted(told, key=lambda item: item[0])


def approval_of(history: History) -> str:
    """Who approved it, when and why; or that nobody has."""
    if promotion := history.promotion:
        return f"Approved {_by(promotion)} on {promotion.when:%Y-%m-%d %H:%M} UTC: {promotion.why}"
    approval = history.approval
    if approval is None or approval.status == "approved":  # approved, but the alias has not moved
        return "Not approved yet"
    if approval.status == "waiting":
        return f"Not approved yet: a person is asked, and no answer by {approval.until:%Y-%m-%d %H:%M} UTC is a refusal"
    return f"Not approved: {approval.status}{f' by {approval.who}' if approval.who else ''}: {approval.why}"


def _by(promotion: PromotionRecord) -> str:
    return "automatically" if promotion.mode == "auto" else f"by {promotion.who}"


def status_of(history: History) -> str:
    """Where it stands now, in a few words."""
    if CHAMPION in history.aliases:
        return f"{CHAMPION}: in service"
    if history.approval and history.approval.status == "waiting":
        return "waits for a person's approval"
    if CHALLENGER in history.aliases:
        return f"{CHALLENGER}: passed its gates, not approved yet"
    if history.rollback:
        return f"rolled back to version {history.rollback.to}: out of service"
    if history.promotion:
        return f"a former {CHAMPION}: out of service"
    if history.gates is None:
        return "registered: not judged yet"
    return f"registered: gates {history.gates.verdict}, not approved"
