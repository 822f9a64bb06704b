"""Selection of the rollout to run: an unfinished one, or a challenger without a rollout."""

from dataclasses import dataclass
from datetime import datetime

from holdfast.core.errors import ApprovalRefusedError, PromotionRefusedError
from holdfast.core.formatting import format_version
from holdfast.model_versions.aliases import get_challenger_version, get_champion_version, get_version, list_versions
from holdfast.model_versions.records import ApprovalRecord, GatesRecord, RolloutRecord, parse_events
from holdfast.models.contract import CHALLENGER, CHAMPION
from holdfast.models.declaration import declared_name
from holdfast.promotion.approval import describe_rejection, find_pending_approval
from holdfast.promotion.champion_update import require_passed_gates
from holdfast.rollout.settings import RolloutSettings
from holdfast.rollout.steps import WATCH, RolloutStep, describe_version, next_step, settings_of, stop_record
from holdfast.training.mlflow_client import ModelClient


@dataclass(frozen=True)
class PendingRollout:
    """A rollout to run.

    Attributes:
        model: Name of the model.
        version: Version to roll out.
        champion: Version to compare with; None without a champion.
        gates: Key of the evidence.
        rules: Settings of the rollout; a resumed rollout keeps those of its start.
        record: Latest record of the rollout; None before the first step.
    """

    model: str
    version: str
    champion: str | None
    gates: str
    rules: RolloutSettings
    record: RolloutRecord | None = None

    @property
    def subject(self) -> str:
        """Return the name of the version in messages."""
        return describe_version(self.model, self.version)

    @property
    def step(self) -> RolloutStep | None:
        """Return the step to run; None if the rollout has ended."""
        if self.record is not None and not self.record.is_open:
            return None
        return next_step(self.record, self.rules)

    @property
    def is_ready_for_promotion(self) -> bool:
        """Return True if the last step before the promotion has passed."""
        return self.step == WATCH and self.record is not None and self.record.step != "watch"

    def end_record(self, reason: str, now: datetime) -> RolloutRecord:
        """Create the record that stops the rollout.

        Args:
            reason: Why the rollout stops.
            now: Time of the end.

        Returns:
            The record; the existing one if the rollout has ended already.
        """
        if self.record is None:
            known = {"champion": self.champion, "gates": self.gates, "started_at": now, "when": now}
            return RolloutRecord(step="approval", share=0, verdict="stopped", why=reason, **known)
        if not self.record.is_open:
            return self.record
        return stop_record(self.record, reason, now, is_held=True)


@dataclass(frozen=True)
class NoPendingRollout:
    """No rollout to run, with the reason."""

    reason: str


def find_next_rollout(
    client: ModelClient, version: str | None = None, rules: RolloutSettings | None = None
) -> PendingRollout | NoPendingRollout:
    """Find the next rollout; unfinished ones come first.

    A challenger whose rollout has ended gets another one once it has passed its gates again, or if ``version`` names
    it.

    Args:
        client: MLflow's client.
        version: Version number; None for the challenger.
        rules: Settings of a new rollout; None for the defaults.

    Returns:
        The rollout to run, or the reason why there is none.

    Raises:
        UnknownVersionError: There is no such version.
        PromotionRefusedError: The named version cannot follow the champion.
    """
    if unfinished := _unfinished(client):
        return unfinished
    champion = get_champion_version(client)
    number = str(get_version(client, version).version) if version else get_challenger_version(client)
    if number is None:
        return NoPendingRollout(f"{client.model_name} has no {CHALLENGER}: there is nothing to roll out.")
    if number == champion:
        return NoPendingRollout(f"Version {number} is the {CHAMPION} already.")
    ended, gates = RolloutRecord.load(client, number), GatesRecord.load(client, number)
    if ended is not None and version is None and gates is not None and ended.gates == gates.key:
        return NoPendingRollout(
            f"Version {number} has had its rollout: {ended.summary}. `--version {number}` begins another."
        )
    try:
        gates = require_passed_gates(client, number, champion)
        return PendingRollout(declared_name(client.model_name), number, champion, gates.key, rules or RolloutSettings())
    except PromotionRefusedError as refused:
        if version is not None:
            raise
        return NoPendingRollout(str(refused))


def _unfinished(client: ModelClient) -> PendingRollout | None:
    """Find the oldest rollout that has not ended, or whose end has no event."""
    found: list[tuple[datetime, PendingRollout]] = []
    for item in list_versions(client):
        version = str(item.version)
        record = RolloutRecord.from_tags(item.tags, version)
        if record is not None and (record.is_open or record not in (parse_events(item.tags, version) or [])):
            model = declared_name(client.model_name)
            pending = PendingRollout(model, version, record.champion, record.gates, settings_of(record), record)
            found.append((record.when, pending))
    return min(found, key=lambda item: item[0])[1] if found else None


def describe_pending_approval(
    client: ModelClient,
    pending: PendingRollout,
    needs_approval: bool,
    requested: str | None,
    is_named: bool,
    now: datetime,
) -> str | None:
    """Describe the approval that a rollout waits for.

    A version that the promotion would refuse gets no traffic. A run that needs an approval requests it once, for new
    evidence. After a refusal it requests the approval again only for a named version.

    Args:
        client: MLflow's client.
        pending: The rollout.
        needs_approval: True if this run requests approval.
        requested: The version for which this run has requested approval; None before.
        is_named: True if the caller named the version.
        now: Time of the check.

    Returns:
        None if the rollout may begin or this run is to request approval; else what it waits for.

    Raises:
        ApprovalRefusedError: A person refused, or did not answer in time, and this run does not request again.
    """
    if needs_approval:
        record = ApprovalRecord.load(client, pending.version)
        if record is None or record.gates != pending.gates:
            return _describe_superseded(pending.version, requested) if requested else None
    approval = find_pending_approval(client, pending.version, now)
    if approval is None:
        return None
    if approval.status == "waiting":
        return describe_rejection(client.model_name, pending.version, approval)
    if requested or not needs_approval or not is_named:
        raise ApprovalRefusedError(describe_rejection(client.model_name, pending.version, approval))
    return None


def _describe_superseded(version: str, requested: str) -> str:
    if requested != version:
        return (
            f"Version {requested}, for which approval was requested, was superseded by "
            f"{format_version(version)}: the next run "
            "requests approval for that version."
        )
    return (
        f"{format_version(version).capitalize()} was evaluated again since approval was requested: the next run "
        "requests approval again."
    )


def interruption_reason(client: ModelClient, version: str, record: RolloutRecord) -> str | None:
    """Describe the change of the aliases that interrupts a rollout.

    Args:
        client: MLflow's client.
        version: Version number.
        record: Record of the current step.

    Returns:
        None, or why the rollout cannot go on.
    """
    champion = get_champion_version(client)
    if record.step == "watch":
        return None if champion == version else f"the {CHAMPION} was moved to {format_version(champion)} meanwhile"
    if champion == version:
        return f"another process made it the {CHAMPION}"
    if champion != record.champion:
        compared = format_version(record.champion)
        return f"the {CHAMPION} is {format_version(champion)} now, and it was compared with {compared}"
    challenger = get_challenger_version(client)
    if challenger is None:
        return f"it is no {CHALLENGER} any more"
    return None if challenger == version else f"superseded by {format_version(challenger)}"
