"""Promote: a version that passed its gates becomes the champion. `python -m flows.promote --version 3`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from prefect import flow
from prefect.runtime import flow_run

from feature_repo.settings import Settings
from flows import configure
from flows._approval import request_human_approval
from flows._artifacts import publish_text
from flows._cli import run_flow
from flows._tasks import open_model_registry, task
from flows.model_card import refresh_model_cards
from holdfast.model_versions.records import PromotionRecord
from holdfast.models.contract import CHAMPION
from holdfast.models.declaration import CHURN
from holdfast.reporting.flow_results import PromoteResult

if TYPE_CHECKING:
    from holdfast.promotion.champion_update import PromotionDecision


@task(name="move champion")
def move_champion_task(settings: Settings, model: str, version: str, decision: "PromotionDecision") -> PromoteResult:
    """Record the decision and move the alias champion."""
    from holdfast.promotion.champion_update import promote_champion

    client = open_model_registry(settings, model)
    previous = promote_champion(client, settings, version, decision, datetime.now(UTC))
    record = PromotionRecord.load(client, version)
    thresholds = record.thresholds if record else {}
    result = PromoteResult(version, previous, previous != version, decision.by, decision.why, thresholds)
    publish_text(result.summary(), key="promotion", description=f"{client.model_name}: {CHAMPION}")
    return result


def _run_name() -> str:
    return f"promote version {flow_run.parameters.get('version') or '(the challenger)'}"


@flow(name="promote", flow_run_name=_run_name, persist_result=False)
def promote(
    version: str | None = None,
    approval: Literal["auto", "manual"] = "auto",
    reason: str = "",
    timeout_hours: float = 72,
    model: str = CHURN,
) -> PromoteResult:
    """Make a version that passed its gates the champion, at once or after a person's approval.

    Args:
        version: The registered version; the challenger when left out.
        approval: auto, or manual: the run waits for a person's approval in the Prefect UI. With HOLDFAST_FOUR_EYES
            always manual.
        reason: Why it is promoted, or why approval is requested.
        timeout_hours: Hours for an answer; no answer is a refusal.
        model: The model, as declared in feature_repo/models.
    """
    from holdfast.promotion.decision import decide_automatically, resolve_candidate
    from holdfast.promotion.four_eyes import ApprovalSettings

    settings, reason = configure(), reason.strip()
    client = open_model_registry(settings, model)
    if approval == "manual" or ApprovalSettings.from_environment().four_eyes:
        timeout = timedelta(hours=timeout_hours)
        number, decision = request_human_approval(settings, client, version, reason, timeout)
    else:
        number = resolve_candidate(client, version)
        decision = decide_automatically(client, number, reason, datetime.now(UTC))
    result = move_champion_task(settings, model, number, decision)
    if result.moved:
        refresh_model_cards(settings, result.version, result.previous, model=model)
    return result


if __name__ == "__main__":
    run_flow(promote)
