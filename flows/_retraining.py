"""Tasks of the retraining flow, and the retraining of one model."""

from datetime import UTC, datetime
from typing import Any

from prefect import get_run_logger

from feature_repo.settings import Settings
from flows._artifacts import publish_markdown
from flows._tasks import task
from flows.model_card import refresh_model_cards
from flows.train import train
from holdfast.alerting.delivery import deliver_now
from holdfast.alerting.events import emit_event
from holdfast.alerting.outbox import raise_alerts
from holdfast.alerting.run_alerts import build_retraining_alerts
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import RetrainingRecord
from holdfast.models.declaration import CHURN, list_models, load_declaration, registered_name
from holdfast.reporting.flow_results import RetrainResult, TrainResult
from holdfast.retraining.attempt_log import save_attempt
from holdfast.retraining.decision import build_cause_record, decide_and_start, describe_decision
from holdfast.retraining.policy import RetrainingAttempt, RetrainingDecision
from holdfast.retraining.settings import RetrainingRules
from holdfast.runtime.endpoints import current_run_url
from holdfast.training.settings import TrainingSettings


@task(name="decide")
def decide_retraining_task(
    settings: Settings, model: str, rules: RetrainingRules, as_of: datetime, event: str | None, subject: str | None
) -> tuple[RetrainingDecision, RetrainingAttempt | None]:
    """Decide from persistent findings and earlier retrainings; a decision to retrain is recorded as an attempt."""
    from holdfast.model_versions.aliases import find_champion_version

    cause, name = {"event": event or "", "subject": subject or "", "model": model}, registered_name(model)
    proposed = RetrainingAttempt(as_of=as_of, begun=datetime.now(UTC), status="begun", why="", **cause)
    decision, attempt = decide_and_start(settings, find_champion_version(settings, name), rules, proposed)
    publish_markdown(
        describe_decision(decision, proposed),
        key="retraining" if model == CHURN else f"retraining-{model}",
        description=f"{name}: {'retrained' if decision.retrain else 'not retrained'}",
    )
    return decision, attempt


@task(name="list retrained models")
def list_retrained_models_task(settings: Settings) -> list[str]:
    """List churn and the other models that have a champion: a model without one was never chosen."""
    from holdfast.model_versions.aliases import find_champion_version

    return [name for name in list_models() if name == CHURN or find_champion_version(settings, registered_name(name))]


@task(name="find definitions of the champion")
def find_champion_definitions_task(settings: Settings, model: str) -> str | None:
    """Find the champion's version of the feature definitions: applied changes wait for a training by a person."""
    from holdfast.model_versions.aliases import find_champion_version, get_contract
    from holdfast.training.mlflow_client import open_registry

    name = registered_name(model)
    champion = find_champion_version(settings, name)
    return get_contract(open_registry(settings, name), champion).definitions if champion else None


@task(name="record cause")
def record_cause_task(settings: Settings, attempt: RetrainingAttempt, version: str) -> None:
    """Record the cause on the version that the retraining registered; an older version keeps its own record."""
    from holdfast.lineage.version_history import registration_time
    from holdfast.model_versions.aliases import get_version, promotion_lock
    from holdfast.training.mlflow_client import open_registry

    client = open_registry(settings, registered_name(attempt.model))
    with promotion_lock(settings):
        registered_at = registration_time(get_version(client, version))
        record = RetrainingRecord.load(client, version) or build_cause_record(attempt, registered_at, datetime.now(UTC))
        if record is not None:
            record.save(client, version)
    refresh_model_cards(settings, version, model=attempt.model)


@task(name="report")
def report_retraining_task(settings: Settings, attempt: RetrainingAttempt, why: str, trained: TrainResult[Any]) -> None:
    """Emit the event of a retraining; raise an alert if the version failed its gates, resolve it if it passed."""
    gates, version = trained.gates, trained.model_version
    payload = {
        "model": attempt.model,
        "version": version,
        "passed": gates.passed,
        "challenger": gates.challenger,
        "why": why,
    }
    payload |= {"as_of": attempt.as_of.isoformat()}
    emit_event("holdfast.retraining.done", f"version.{version}", payload)
    alerts = build_retraining_alerts(trained.model_name, version, why, gates.passed, gates.failed, current_run_url())
    source = "retrain" if attempt.model == CHURN else f"retrain.{attempt.model}"
    raise_alerts(settings, source, alerts, datetime.now(UTC))
    deliver_now(settings)


def retrain_model(
    settings: Settings,
    model: str,
    event: str | None,
    subject: str | None,
    time: datetime,
    rules: RetrainingRules,
    training: TrainingSettings | None,
    thresholds: GateSettings | None,
) -> RetrainResult:
    """Decide by the findings of one model, and train it.

    Args:
        settings: Data folder.
        model: Name of the model's declaration.
        event: The event that started the run; None when started manually.
        subject: The subject of the event.
        time: Time of decision and training.
        rules: Persistence of findings, and time between retrainings.
        training: Settings of the training.
        thresholds: Thresholds of the gates of a classification.

    Returns:
        The decision, and the version of a retraining.
    """
    decision, attempt = decide_retraining_task(settings, model, rules, time, event, subject)
    verb = "retraining" if decision.retrain else "not retraining"
    get_run_logger().info("%s %s: %s", verb, model, decision.why)
    if attempt is None:
        return RetrainResult(False, decision.why)
    of_kind = thresholds if load_declaration(model).kind == "classification" else None
    definitions = find_champion_definitions_task(settings, model)
    try:
        trained = train(time, None, training, of_kind, definitions, model)
    except Exception:
        save_attempt(settings, attempt.model_copy(update={"status": "failed"}))
        raise
    version, gates = trained.model_version, trained.gates
    done = attempt.model_copy(update={"status": "done", "version": version})
    try:
        record_cause_task(settings, attempt, version)
        report_retraining_task(settings, attempt, decision.why, trained)
    except Exception:  # the training is done even if it cannot be reported; a run killed here resumes
        save_attempt(settings, done)
        raise
    save_attempt(settings, done)
    return RetrainResult(True, decision.why, version, gates.passed, gates.challenger)
