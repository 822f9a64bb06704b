"""Update of the alias ``champion`` after a decision; of two concurrent updates only one wins."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from feature_repo.settings import Settings
from holdfast.core.errors import PromotionRefusedError
from holdfast.core.formatting import format_version
from holdfast.core.identity import Proof, describe_person
from holdfast.model_versions.aliases import (
    drop_challenger,
    get_champion_version,
    promotion_lock,
    set_champion,
)
from holdfast.model_versions.champion_history import find_last_breach
from holdfast.model_versions.records import GatesRecord, PromotionRecord, RollbackRecord
from holdfast.models.contract import CHAMPION
from holdfast.monitoring.skew.findings import describe_open_skew
from holdfast.promotion.four_eyes import require_approver
from holdfast.runtime.endpoints import runbook_entry_url
from holdfast.training.mlflow_client import ModelClient


@dataclass(frozen=True)
class PromotionDecision:
    """Decision to promote a version.

    Attributes:
        who: "auto", or the person who approved.
        gates: Key of the evidence.
        proof: Evidence for the name of the person.
    """

    mode: Literal["auto", "manual"]
    who: str
    why: str
    gates: str
    proof: Proof

    @property
    def by(self) -> str:
        """Return the person that approved as part of a sentence, "automatically" without a person."""
        return "automatically" if self.mode == "auto" else describe_person(self.who, self.proof)


def require_passed_gates(client: ModelClient, version: str, champion: str | None) -> GatesRecord:
    """Require a passed verdict of the gates for this version beside this champion.

    Args:
        client: MLflow's client.
        version: Version number.
        champion: The champion; None without one.

    Returns:
        The verdict.

    Raises:
        PromotionRefusedError: There is no passed verdict, or one about another champion or from before a breach.
    """
    again = f"`python -m flows.gates --version {version}`"
    about = f"{client.model_name} version {version}"
    record, rollback = GatesRecord.load(client, version), RollbackRecord.load(client, version)
    if record is None:
        raise PromotionRefusedError(
            f"{about} has not been through the gates. Run {again}. {unchanged_message(champion)}"
        )
    if record.verdict == "failed":
        raise PromotionRefusedError(
            f"{about} did not pass its gates: {', '.join(record.failed)}. {unchanged_message(champion)} "
            f"{again} shows why."
        )
    if record.champion != champion:
        raise PromotionRefusedError(
            f"{about} was compared with {format_version(record.champion)}, but {CHAMPION} is now "
            f"{format_version(champion)}. "
            f"Run {again}. {unchanged_message(champion)}"
        )
    if rollback is not None and rollback.when >= record.when:
        raise PromotionRefusedError(
            f"{about} was rolled back after it had passed its gates ({rollback.why}). Run {again}, or "
            f"`python -m flows.rollback --to {version} --reason ...`. {unchanged_message(champion)}"
        )
    breach = find_last_breach(client, version)
    if breach is not None and breach.record.when >= record.when:
        raise PromotionRefusedError(
            f"{about} was worse than the {CHAMPION} in its rollout, after it had passed its gates "
            f"({breach.record.why}). To evaluate it again, name it: {again}. {unchanged_message(champion)}"
        )
    return record


def _require_no_skew(settings: Settings, about: str, champion: str | None) -> None:
    """Refuse a promotion, not a rollback, while a skew is open: the gates do not hold for other served values."""
    if skew := describe_open_skew(settings):
        raise PromotionRefusedError(
            f"{about} cannot become {CHAMPION} now: {skew}. {unchanged_message(champion)} "
            f"Fix the skew ({runbook_entry_url('holdfast.skew.detected')}), then run `python -m flows.monitor --views "
            "skew` and try again. `python -m flows.rollback` still works."
        )


def promote_champion(
    client: ModelClient,
    settings: Settings,
    version: str,
    decision: PromotionDecision,
    now: datetime,
    find_objection: Callable[[], str | None] = lambda: None,
) -> str | None:
    """Record a decision on a version, then move ``champion`` to the version.

    A repeated call completes an interrupted one: first the tag is written, then the alias moves, then the event is
    appended.

    Args:
        client: MLflow's client.
        settings: Settings with the promotion lock.
        version: Version number.
        decision: The decision.
        now: Time of the promotion, UTC.
        find_objection: Called under the lock; returns a reason not to promote, or None.

    Returns:
        The champion before.

    Raises:
        PromotionRefusedError: The champion is no longer the one that ``version`` was compared with, a skew is open,
            there is an objection, or the approval of another person is required and missing.
    """
    with promotion_lock(settings):
        champion = get_champion_version(client)
        if champion == version:
            drop_challenger(client, version)
            if record := PromotionRecord.load(client, version):
                record.append_event(client, version)
            return champion
        if objection := find_objection():
            raise PromotionRefusedError(f"{objection}. {unchanged_message(champion)}")
        _require_no_skew(settings, f"{client.model_name} version {version}", champion)
        gates = require_passed_gates(client, version, champion)
        if gates.key != decision.gates:
            raise PromotionRefusedError(
                f"{client.model_name} version {version} was evaluated again since it was approved. "
                f"{unchanged_message(champion)} Request approval again."
            )
        require_approver(client, version, decision.mode, gates.key)
        record = PromotionRecord(
            previous=champion,
            when=now,
            who=decision.who,
            why=decision.why,
            mode=decision.mode,
            gates=gates.key,
            thresholds=gates.thresholds,
            proof=decision.proof,
        )
        record.write_tag(client, version)
        set_champion(client, version)
        record.append_event(client, version)
        return champion


def unchanged_message(champion: str | None) -> str:
    """Create the last sentence of a refusal.

    Args:
        champion: The champion; None without one.

    Returns:
        The sentence.
    """
    return f"The champion stays {format_version(champion)}." if champion else "There is still no champion."
