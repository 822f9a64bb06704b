"""Decisions about promotions: automatic, by approval, or made before."""

from datetime import datetime

from holdfast.core.errors import PromotionRefusedError
from holdfast.model_versions.aliases import get_challenger_version, get_champion_version, get_version
from holdfast.model_versions.records import ApprovalRecord, PromotionRecord
from holdfast.models.contract import CHALLENGER, CHAMPION
from holdfast.promotion.approval import describe_rejection, find_pending_approval
from holdfast.promotion.champion_update import PromotionDecision, require_passed_gates, unchanged_message
from holdfast.training.mlflow_client import ModelClient


def resolve_candidate(client: ModelClient, version: str | None) -> str:
    """Get a version by number, or the challenger.

    Args:
        client: MLflow's client.
        version: Version number; the challenger when None.

    Returns:
        The version number.

    Raises:
        UnknownVersionError: There is no such version.
        PromotionRefusedError: There is no challenger.
    """
    number = version or get_challenger_version(client)
    if number is None:
        raise PromotionRefusedError(
            f"{client.model_name} has no {CHALLENGER}: no version has passed its gates since the last promotion. "
            f"{unchanged_message(get_champion_version(client))} `python -m flows.gates` evaluates the latest "
            "version and shows why."
        )
    return str(get_version(client, number).version)


def find_previous_decision(client: ModelClient, version: str) -> PromotionDecision | None:
    """Find an existing decision: of the champion, of a promotion that was interrupted, or of an approval.

    Args:
        client: MLflow's client.
        version: Version number.

    Returns:
        The decision, or None.

    Raises:
        PromotionRefusedError: It did not pass its gates, or they were about other circumstances.
    """
    champion, record = get_champion_version(client), PromotionRecord.load(client, version)
    if champion == version:
        return (
            _as_recorded(record)
            if record
            else PromotionDecision("auto", "unknown", f"it was {CHAMPION} before", "", "claimed")
        )
    gates = require_passed_gates(client, version, champion)
    if record is not None and record.gates == gates.key and record.previous == champion:
        return _as_recorded(record)
    approval = ApprovalRecord.load(client, version)
    if approval is None or approval.status != "approved" or approval.gates != gates.key:
        return None
    return PromotionDecision("manual", approval.who, approval.why, approval.gates, approval.proof)


def decide_automatically(client: ModelClient, version: str, reason: str, now: datetime) -> PromotionDecision:
    """Decide on a promotion without a person: passed gates are enough.

    Args:
        client: MLflow's client.
        version: Version number.
        reason: Reason for the record; a default when empty.
        now: Time of the decision, UTC.

    Returns:
        The decision.

    Raises:
        PromotionRefusedError: It did not pass, or a person was asked.
    """
    if decision := find_previous_decision(client, version):
        return decision
    if pending := find_pending_approval(client, version, now):
        raise PromotionRefusedError(
            f"{describe_rejection(client.model_name, version, pending)} To ask again: `prefect deployment run "
            f"promote/promote -p version='\"{version}\"' -p approval=manual`."
        )
    gates = require_passed_gates(client, version, get_champion_version(client))
    return PromotionDecision("auto", "auto", reason or "all gates passed", gates.key, "program")


def decide_by_approval(client: ModelClient, version: str) -> PromotionDecision:
    """Require a person's approval of a version on its present evidence.

    Args:
        client: MLflow's client.
        version: Version number.

    Returns:
        The decision.

    Raises:
        PromotionRefusedError: It did not pass, or no person has approved it on that evidence.
    """
    if decision := find_previous_decision(client, version):
        return decision
    raise PromotionRefusedError(
        f"No person has approved {client.model_name} version {version} on the current evidence. "
        f"{unchanged_message(get_champion_version(client))}"
    )


def _as_recorded(record: PromotionRecord) -> PromotionDecision:
    return PromotionDecision(record.mode, record.who, record.why, record.gates, record.proof)
