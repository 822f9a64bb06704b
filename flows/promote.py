"""Promote: the challenger becomes the champion once it is approved. `python -m flows.promote --version 3`"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._approval import request_human_approval
from flows._tasks import task
from flows.model_card import refresh_model_cards
from holdfast.core.errors import PromotionRefusedError
from holdfast.models.contract import CHAMPION, MODEL_NAME

if TYPE_CHECKING:
    from holdfast.promotion.champion_update import PromotionDecision

_DEPLOYMENT = "promote/promote"

__all__ = ["PromoteResult", "PromotionRefusedError", "promote"]


@dataclass(frozen=True)
class PromoteResult:
    """Which version is the champion now, and which was before; who decided it, and why; on which own thresholds."""

    version: str
    previous: str | None
    moved: bool
    who: str
    why: str
    thresholds: dict[str, Any] = field(default_factory=dict)


@task(name="move champion")
def move_task(settings: Settings, version: str, decision: "PromotionDecision") -> PromoteResult:
    """Record the decision and move the alias."""
    from holdfast.model_versions.aliases import open_registry
    from holdfast.model_versions.records import PromotionRecord
    from holdfast.promotion.champion_update import promote_champion

    client = open_registry(settings)
    previous = promote_champion(client, settings, version, decision, datetime.now(UTC))
    record = PromotionRecord.load(client, version)
    thresholds = record.thresholds if record else {}
    result = PromoteResult(version, previous, previous != version, decision.who, decision.why, thresholds)
    create_markdown_artifact(_told(result), key="promotion", description=f"{MODEL_NAME}: {CHAMPION}")
    return result


def _run_name() -> str:
    from prefect.runtime import flow_run

    return f"promote version {flow_run.parameters.get('version') or '(the challenger)'}"


@flow(name="promote", flow_run_name=_run_name, persist_result=False)
def promote(
    version: str | None = None,
    approval: Literal["auto", "manual"] = "auto",
    reason: str = "",
    timeout_hours: float = 72,
) -> PromoteResult:
    """Make a version that passed its gates the champion, at once or when a person approves.

    Args:
        version: The registered version; the challenger when left out.
        approval: auto, or manual: the run waits for a person's answer in the Prefect UI.
        reason: Why it is promoted, or why a person is asked.
        timeout_hours: How long a person has; no answer is a refusal.
    """
    from holdfast.model_versions.aliases import open_registry
    from holdfast.promotion.decision import decide_automatically, resolve_candidate

    settings = configure()
    client = open_registry(settings)
    if approval == "manual":
        number, decision = request_human_approval(
            settings, client, version, reason.strip(), timedelta(hours=timeout_hours), _DEPLOYMENT
        )
    else:
        number = resolve_candidate(client, version)
        decision = decide_automatically(client, number, reason.strip(), datetime.now(UTC))
    result = move_task(settings, number, decision)
    if result.moved:
        refresh_model_cards(settings, result.version, result.previous)
    return result


def _told(result: PromoteResult) -> str:
    from holdfast.model_versions.gate_settings import describe_changed_thresholds

    if not result.moved:
        return f"Version {result.version} is the {CHAMPION} already: nothing was decided, nobody was asked."
    before = f"after version {result.previous}" if result.previous else "the first"
    told = f"{CHAMPION} is version {result.version}, {before}."
    return " ".join(filter(None, [told, describe_changed_thresholds(result.thresholds), f"{result.who}: {result.why}"]))


def _show(result: PromoteResult) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(_told(result), markup=False)


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(promote, show=_show)
