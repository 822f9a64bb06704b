"""Registry updates of a rollout: challenger traffic, aliases and step records."""

from datetime import datetime

from mlflow import MlflowClient

from feature_repo.settings import Settings
from holdfast.core.errors import RollbackError
from holdfast.model_versions.aliases import drop_challenger, promotion_lock
from holdfast.model_versions.records import RolloutRecord, TrafficRecord
from holdfast.models.registered_version import Traffic
from holdfast.promotion.challenger_traffic import extend_lease, set_traffic_locked
from holdfast.promotion.champion_update import promote_champion
from holdfast.promotion.decision import decide_automatically, decide_by_approval
from holdfast.promotion.rollback import roll_back
from holdfast.rollout.settings import RolloutSettings
from holdfast.rollout.steps import RolloutStep, lease_end, settings_of, step_of
from holdfast.rollout.work_queue import Work

ACTOR = "rollout"


def begin_step(
    client: MlflowClient,
    settings: Settings,
    version: str,
    record: RolloutRecord,
    seen: TrafficRecord | None,
    now: datetime,
) -> str:
    """Record that a step begins, or goes on, and send the traffic. Killed in between, the next call completes.

    ``seen`` is the traffic that the decision to begin was made on. Who has changed it since, as a sentence, and then
    nothing is written; empty where nobody has: models take seconds to load, and a person's word in them holds.

    Raises:
        TrafficError, NotServableError: Services would refuse it beside the champion.
    """
    step = step_of(record)
    assert step is not None
    with promotion_lock(settings):
        if TrafficRecord.load(client, version) != seen and (by := describe_traffic_override(client, version, step)):
            return by
        record.save(client, version)
        if step.name != "watch":
            set_traffic_locked(client, version, step.traffic(lease_end(settings_of(record), now)), ACTOR, now)
    return ""


def extend_step(
    client: MlflowClient, settings: Settings, version: str, step: RolloutStep, rules: RolloutSettings, now: datetime
) -> datetime | None:
    """Renew the lease of the challenger's traffic.

    Args:
        client: MLflow client.
        settings: Settings with the registry.
        version: Version of the rollout.
        step: Current step.
        rules: Settings of the rollout.
        now: Current time, UTC.

    Returns:
        End of the new lease; None if the version has other traffic in the meantime.
    """
    until = lease_end(rules, now)
    return until if extend_lease(client, settings, version, step.traffic(until)) else None


def describe_traffic_override(client: MlflowClient, version: str, step: RolloutStep) -> str:
    """Who has given the version other traffic than this rollout, as a sentence; empty where nobody has."""
    record = TrafficRecord.load(client, version)
    if record is None or record.who == ACTOR or step.name == "watch":
        return ""
    return f"{record.who} has changed its traffic ({record.summary})"


def promote_challenger(
    client: MlflowClient, settings: Settings, work: Work, why: str, now: datetime, asks: bool = False
) -> str | None:
    """Promote the challenger to champion.

    Args:
        client: MLflow client.
        settings: Settings with the registry.
        work: The rollout.
        why: Reason for an automatic decision.
        now: Current time, UTC.
        asks: Promote only with the approval of a person.

    Returns:
        The previous champion, None without one.

    Raises:
        PromotionRefusedError: The version may not follow the current champion, or an operator changed its traffic.
    """
    version = work.version
    step = step_of(work.record) if work.record else None
    decision = decide_by_approval(client, version) if asks else decide_automatically(client, version, why, now)

    def by_hand() -> str:
        return describe_traffic_override(client, version, step) if step is not None else ""

    return promote_champion(client, settings, version, decision, now, by_hand)


def rollback_step(client: MlflowClient, settings: Settings, version: str, record: RolloutRecord, now: datetime) -> str:
    """Do what the end of a rollout asks for; done before, nothing changes. What could not be done, as a sentence."""
    if record.verdict == "passed":
        return ""
    if record.step == "watch":
        return _take_back(client, settings, version, record) if record.verdict == "breached" else ""
    step = step_of(record)
    with promotion_lock(settings):
        if step is not None and not describe_traffic_override(client, version, step):
            set_traffic_locked(client, version, Traffic(mode="off"), ACTOR, now)
        if record.verdict == "breached":
            drop_challenger(client, version)
    return ""


def _take_back(client: MlflowClient, settings: Settings, version: str, record: RolloutRecord) -> str:
    """Roll back to the previous champion; the run name from the record makes a repeated call a no-op."""
    run = f"{ACTOR} {record.begun.isoformat()}"
    try:
        roll_back(client, settings, record.champion, record.why, ACTOR, record.when, leave=version, flow_run=run)
    except RollbackError as error:
        return str(error)
    return ""
