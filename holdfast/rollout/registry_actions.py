"""Changes of a rollout in the registry: traffic of the challenger, aliases, and the record of each step."""

from datetime import datetime

from feature_repo.settings import Settings
from holdfast.core.errors import RollbackError
from holdfast.core.identity import Person
from holdfast.model_versions.aliases import drop_challenger, promotion_lock
from holdfast.model_versions.records import RolloutRecord, TrafficRecord
from holdfast.models.registered_version import Traffic
from holdfast.promotion.challenger_traffic import require_features, set_traffic
from holdfast.promotion.champion_update import promote_champion
from holdfast.promotion.decision import decide_automatically, decide_by_approval
from holdfast.promotion.rollback import RollbackCause, roll_back
from holdfast.rollout.rollout_selection import PendingRollout
from holdfast.rollout.steps import RolloutStep, settings_of, step_of
from holdfast.training.mlflow_client import ModelClient

ACTOR = "rollout"


def begin_step(
    client: ModelClient,
    settings: Settings,
    version: str,
    record: RolloutRecord,
    known_traffic: TrafficRecord | None,
    now: datetime,
) -> str | None:
    """Write the record of a begun step and set the traffic. A repeated call completes an interrupted one.

    Loading the models takes seconds, in which a person may change the traffic: then nothing is written.

    Args:
        client: MLflow's client.
        settings: Settings with the promotion lock.
        version: Version number.
        record: Record of the step.
        known_traffic: The traffic on which the decision to begin is based.
        now: Start of the lease.

    Returns:
        None, or a sentence about who changed the traffic since.

    Raises:
        TrafficError, NotServableError: Services would refuse the version beside the champion.
    """
    step = step_of(record)
    assert step is not None
    with promotion_lock(settings):
        is_changed = TrafficRecord.load(client, version) != known_traffic
        if is_changed and (override := describe_traffic_override(client, version, step)):
            return override
        record.save(client, version)
        if step.name != "watch":
            require_features(client, settings, version)
            set_traffic(client, version, step.traffic(now + settings_of(record).lease), Person(ACTOR, "program"), now)
    return None


def describe_traffic_override(client: ModelClient, version: str, step: RolloutStep) -> str | None:
    """Describe a change of the traffic that no rollout made.

    Args:
        client: MLflow's client.
        version: Version number.
        step: The step.

    Returns:
        A sentence, or None without a change.
    """
    record = TrafficRecord.load(client, version)
    if record is None or (record.who, record.proof) == (ACTOR, "program") or step.name == "watch":
        return None
    return f"its traffic was changed, {record.by} ({record.summary})"


def promote_challenger(
    client: ModelClient,
    settings: Settings,
    pending: PendingRollout,
    reason: str,
    now: datetime,
    needs_approval: bool = False,
) -> str | None:
    """Make the version of a rollout the champion.

    Args:
        client: MLflow's client.
        settings: Settings with the promotion lock.
        pending: The rollout.
        reason: Reason of an automatic promotion.
        now: Time of the promotion.
        needs_approval: Require the approval of a person.

    Returns:
        The champion before.

    Raises:
        PromotionRefusedError: The version may not follow the champion, or a person changed the traffic.
    """
    version = pending.version
    step = step_of(pending.record) if pending.record else None
    if needs_approval:
        decision = decide_by_approval(client, version)
    else:
        decision = decide_automatically(client, version, reason, now)

    def find_objection() -> str | None:
        return describe_traffic_override(client, version, step) if step is not None else None

    return promote_champion(client, settings, version, decision, now, find_objection)


def rollback_step(
    client: ModelClient, settings: Settings, version: str, record: RolloutRecord, now: datetime
) -> str | None:
    """Withdraw traffic and aliases after a step that did not pass. A repeated call changes nothing.

    Args:
        client: MLflow's client.
        settings: Settings with the promotion lock.
        version: Version number.
        record: Record of the end of the step.
        now: Time of the call.

    Returns:
        None, or a sentence about what could not be done.
    """
    if record.verdict == "passed":
        return None
    if record.step == "watch":
        return _roll_back_champion(client, settings, version, record) if record.verdict == "breached" else None
    step = step_of(record)
    with promotion_lock(settings):
        if step is not None and not describe_traffic_override(client, version, step):
            set_traffic(client, version, Traffic(mode="off"), Person(ACTOR, "program"), now)
        if record.verdict == "breached":
            drop_challenger(client, version)
    return None


def _roll_back_champion(client: ModelClient, settings: Settings, version: str, record: RolloutRecord) -> str | None:
    """Roll back to the previous champion; the flow run name from the record makes a repeated call a no-op."""
    run = f"{ACTOR} {record.started_at.isoformat()}"
    cause = RollbackCause(who=ACTOR, why=record.why, when=record.when, flow_run=run, proof="program")
    try:
        roll_back(client, settings, record.champion, cause, expected_champion=version)
    except RollbackError as error:
        return str(error)
    return None
