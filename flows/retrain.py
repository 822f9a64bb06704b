"""Retrain: training where drift or a loss of performance persists. `python -m flows.retrain --as-of 1998-03-01`."""

from datetime import UTC, datetime

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._cli import run_flow
from flows._tasks import run_name, run_time, task
from flows.model_card import refresh_model_cards
from flows.train import train
from holdfast.alerting.delivery import deliver_now
from holdfast.alerting.events import emit_event
from holdfast.alerting.outbox import raise_alerts
from holdfast.alerting.run_alerts import build_retraining_alerts
from holdfast.ingestion.as_of import resolve_as_of
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import RetrainingRecord
from holdfast.models.contract import MODEL_NAME
from holdfast.reporting.flow_results import RetrainResult, TrainResult
from holdfast.retraining.attempt_log import save_attempt
from holdfast.retraining.decision import build_cause_record, decide_and_start, describe_decision
from holdfast.retraining.policy import RetrainingAttempt, RetrainingDecision
from holdfast.retraining.settings import RetrainingRules
from holdfast.runtime.endpoints import current_run_url
from holdfast.runtime.flow_runs import skipped_state
from holdfast.training.settings import TrainingSettings


@task(name="decide")
def decide_retraining_task(
    settings: Settings, rules: RetrainingRules, as_of: datetime, event: str | None, subject: str | None
) -> tuple[RetrainingDecision, RetrainingAttempt | None]:
    """Decide from persistent findings and earlier retrainings; a decision to retrain is recorded as an attempt."""
    from holdfast.model_versions.aliases import find_champion_version

    cause = {"event": event or "", "subject": subject or ""}
    proposed = RetrainingAttempt(as_of=as_of, begun=datetime.now(UTC), status="begun", why="", **cause)
    decision, attempt = decide_and_start(settings, find_champion_version(settings), rules, proposed)
    create_markdown_artifact(
        describe_decision(decision, proposed),
        key="retraining",
        description=f"{MODEL_NAME}: {'retrained' if decision.retrain else 'not retrained'}",
    )
    return decision, attempt


@task(name="find definitions of the champion")
def find_champion_definitions_task(settings: Settings) -> str | None:
    """Find the champion's version of the feature definitions: applied changes wait for a training by a person."""
    from holdfast.model_versions.aliases import find_champion_version, get_contract
    from holdfast.training.mlflow_client import open_registry

    champion = find_champion_version(settings)
    return get_contract(open_registry(settings), champion).definitions if champion else None


@task(name="record cause")
def record_cause_task(settings: Settings, attempt: RetrainingAttempt, version: str) -> None:
    """Record the cause on the version that the retraining registered; an older version keeps its own record."""
    from holdfast.lineage.version_history import registration_time
    from holdfast.model_versions.aliases import get_version, promotion_lock
    from holdfast.training.mlflow_client import open_registry

    client = open_registry(settings)
    with promotion_lock(settings):
        registered_at = registration_time(get_version(client, version))
        record = RetrainingRecord.load(client, version) or build_cause_record(attempt, registered_at, datetime.now(UTC))
        if record is not None:
            record.save(client, version)
    refresh_model_cards(settings, version)


@task(name="report")
def report_retraining_task(settings: Settings, as_of: datetime, why: str, trained: TrainResult) -> None:
    """Emit the event of a retraining; raise an alert if the version failed its gates, resolve it if it passed."""
    gates, version = trained.gates, trained.model_version
    payload = {"version": version, "passed": gates.passed, "challenger": gates.challenger, "why": why}
    emit_event("holdfast.retraining.done", f"version.{version}", payload | {"as_of": as_of.isoformat()})
    alerts = build_retraining_alerts(version, why, gates.passed, gates.failed, current_run_url())
    raise_alerts(settings, "retrain", alerts, datetime.now(UTC))
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
    """Train a new version if drift or a loss of performance persists, unless skew is open or the last was recent.

    Args:
        event: The event that started the run, such as holdfast.drift.detected; none when started manually. The
            decision considers all findings.
        subject: The subject of the event.
        as_of: Time of decision and training; now when left out.
        rules: How long a finding has to persist, and the time between retrainings.
        training: Settings of the training, as for train.
        thresholds: Thresholds of the gates, as for train.
    """
    settings = configure()
    time = resolve_as_of(as_of, settings, run_time())
    decision, attempt = decide_retraining_task(settings, rules or RetrainingRules(), time, event, subject)
    get_run_logger().info("%s: %s", "retraining" if decision.retrain else "not retraining", decision.why)
    if attempt is None:
        return skipped_state(decision.why, RetrainResult(False, decision.why))
    try:
        trained = train(time, None, training, thresholds, find_champion_definitions_task(settings))
    except Exception:
        save_attempt(settings, attempt.model_copy(update={"status": "failed"}))
        raise
    version, gates = trained.model_version, trained.gates
    done = attempt.model_copy(update={"status": "done", "version": version})
    try:
        record_cause_task(settings, attempt, version)
        report_retraining_task(settings, time, decision.why, trained)
    except Exception:  # the training is done even if it cannot be reported; a run killed here resumes
        save_attempt(settings, done)
        raise
    save_attempt(settings, done)
    return RetrainResult(True, decision.why, version, gates.passed, gates.challenger)


if __name__ == "__main__":
    run_flow(retrain)
