"""Retrain: train again where a finding lasts, and say why, or why not. `python -m flows.retrain --as-of 1998-03-01`"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._tasks import run_name, run_time, task
from flows.model_card import refresh_model_cards
from flows.train import TrainResult, train
from holdfast.ingestion.as_of import resolve_as_of
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models.contract import MODEL_NAME
from holdfast.retraining.settings import RetrainingRules
from holdfast.runtime.prefect_states import skipped_state
from holdfast.training.settings import TrainingSettings

if TYPE_CHECKING:
    from holdfast.retraining.attempt_log import RetrainingAttempt
    from holdfast.retraining.policy import RetrainingDecision


@dataclass(frozen=True)
class RetrainResult:
    """Whether it was trained again, why, and what came of it: a version, and whether it is the challenger."""

    retrained: bool
    why: str
    version: str | None = None
    passed: bool = False
    challenger: bool = False


@task(name="decide")
def decide_task(
    settings: Settings, rules: RetrainingRules, as_of: datetime, event: str | None, subject: str | None
) -> "tuple[RetrainingDecision, RetrainingAttempt | None]":
    """Look at the findings that last, and at the retrainings there were; one that is decided on has begun."""
    from holdfast.model_versions.aliases import UnknownVersionError, get_champion_version, open_registry
    from holdfast.monitoring.skew.open_findings import describe_open_skew
    from holdfast.retraining.attempt_log import RetrainingAttempt, list_attempts, retraining_lock, start_attempt
    from holdfast.retraining.policy import decide_retraining
    from holdfast.retraining.signals import read_signals

    try:
        champion = get_champion_version(open_registry(settings))
    except UnknownVersionError:
        champion = None
    with retraining_lock(settings):
        decision = decide_retraining(
            read_signals(settings, as_of, champion), list_attempts(settings), rules, as_of, describe_open_skew(settings)
        )
        begun = None
        if decision.retrain:
            about = {"why": decision.why, "event": event or "", "subject": subject or ""}
            begun = start_attempt(
                settings, RetrainingAttempt(as_of=as_of, begun=datetime.now(UTC), outcome="begun", **about)
            )
    prompted = f"Prompted by {event} about {subject}." if event else "Prompted by hand."
    create_markdown_artifact(
        f"**{'Retraining' if decision.retrain else 'No retraining'}** as of {as_of:%Y-%m-%d %H:%M} UTC: "
        f"{decision.why}.\n\n{prompted}",
        key="retraining",
        description=f"{MODEL_NAME}: {'trained again' if decision.retrain else 'not trained again'}",
    )
    return decision, begun


@task(name="record")
def record_task(settings: Settings, begun: "RetrainingAttempt", version: str) -> None:
    """The reason, on the version that this retraining gave; one that was there before has other reasons to be."""
    from holdfast.lineage.version_history import registration_time
    from holdfast.model_versions.aliases import get_version, open_registry, promotion_lock
    from holdfast.model_versions.records import RetrainingRecord

    client = open_registry(settings)
    with promotion_lock(settings):
        record = RetrainingRecord.load(client, version)
        if record is None and registration_time(get_version(client, version)) >= begun.begun.replace(microsecond=0):
            prompted = f"{begun.event} about {begun.subject}" if begun.event else "by hand"
            record = RetrainingRecord(as_of=begun.as_of, why=begun.why, prompted=prompted, when=datetime.now(UTC))
        if record is not None:
            record.save(client, version)
    refresh_model_cards(settings, version)


@task(name="tell")
def tell_task(settings: Settings, as_of: datetime, why: str, trained: TrainResult) -> None:
    """An event for automations; and for people, that its gates stopped the new version, until one passes."""
    from holdfast.alerting.alert import Alert
    from holdfast.alerting.delivery import deliver_now
    from holdfast.alerting.events import emit_event
    from holdfast.alerting.links import current_run_url
    from holdfast.alerting.outbox import raise_alerts

    judged, version = trained.gates, trained.model_version
    payload = {"version": version, "passed": judged.passed, "challenger": judged.challenger, "why": why}
    emit_event("holdfast.retraining.done", f"version.{version}", payload | {"as_of": as_of.isoformat()})
    stopped = []
    if not judged.passed:
        text = (
            f"Version {version}, trained again because of {why}, did not pass its gates: "
            f"{', '.join(gate.name for gate in judged.failed)}. The champion stays."
        )
        stopped = [Alert.for_subject("holdfast.retraining.refused", MODEL_NAME, "info", text, current_run_url())]
    raise_alerts(settings, "retrain", stopped, datetime.now(UTC))
    deliver_now(settings)


@flow(name="retrain", flow_run_name=run_name, persist_result=False)
def retrain(
    event: str | None = None,
    subject: str | None = None,
    as_of: datetime | None = None,
    rules: RetrainingRules | None = None,
    training: TrainingSettings | None = None,
    thresholds: GateSettings | None = None,
) -> RetrainResult:
    """Train again if drift or a loss of quality lasts, no skew is open, and it was not done lately.

    Args:
        event: What prompted it, such as holdfast.drift.detected; by hand when left out. All findings are looked at.
        subject: What that was about.
        as_of: The moment to decide and to train for; now when left out.
        rules: How long a finding has to last, and how often to retrain at most.
        training: As for train.
        thresholds: As for train.
    """
    from holdfast.retraining.attempt_log import save_attempt

    settings = configure()
    moment = resolve_as_of(as_of, settings, run_time())
    decision, begun = decide_task(settings, rules or RetrainingRules(), moment, event, subject)
    get_run_logger().info("%s: %s", "training again" if decision.retrain else "not training again", decision.why)
    if begun is None:
        return skipped_state(decision.why, RetrainResult(False, decision.why))
    try:
        trained = train(moment, None, training, thresholds)
    except Exception:
        save_attempt(settings, begun.model_copy(update={"outcome": "failed"}))
        raise
    version, judged = trained.model_version, trained.gates
    done = begun.model_copy(update={"outcome": "done", "version": version})
    try:
        record_task(settings, begun, version)
        tell_task(settings, moment, decision.why, trained)
    except Exception:  # it was trained, whoever has heard of it; one that was killed here goes on
        save_attempt(settings, done)
        raise
    save_attempt(settings, done)
    return RetrainResult(True, decision.why, version, judged.passed, judged.challenger)


def _show(result: RetrainResult) -> None:
    import typer

    if not result.retrained:
        typer.echo(f"Not trained again: {result.why}.")
        return
    verdict = "is the challenger" if result.challenger else "passed its gates" if result.passed else "failed its gates"
    typer.echo(f"Trained again: {result.why}. Version {result.version} {verdict}.")


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(retrain, show=_show)
