"""Records, events and alerts about the end of a rollout step."""

from datetime import datetime

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert
from holdfast.alerting.delivery import deliver_now
from holdfast.alerting.events import LifecycleEvent, emit_event
from holdfast.alerting.outbox import add_alert, resolve_alert
from holdfast.model_versions.records import RolloutRecord
from holdfast.models.declaration import declared_name
from holdfast.monitoring.findings import Severity
from holdfast.rollout.registry_actions import rollback_step
from holdfast.rollout.steps import describe_version
from holdfast.training.mlflow_client import ModelClient

_UNREACHABLE = "holdfast.rollout.blind"
_PAYLOAD = {
    *("step", "share", "started_at", "when", "champion", "requests"),
    *("customers", "inactive_customers", "guardrail_values", "why"),
}


def finish_step(
    client: ModelClient, settings: Settings, version: str, record: RolloutRecord, now: datetime, evidence: str = ""
) -> None:
    """End a step: write the record, act on its verdict, then notify. A repeated call completes an interrupted one.

    Args:
        client: MLflow's client.
        settings: Settings with the alert outbox.
        version: Version number.
        record: Record of the end of the step.
        now: Time of the call.
        evidence: Link for the reader of the alert.
    """
    subject = describe_version(declared_name(client.model_name), version)
    record.write_tag(client, version)
    problem = rollback_step(client, settings, version, record, now)
    reason = f"{record.why}. {problem}" if problem else record.why
    event: LifecycleEvent | None = None
    severity: Severity = "warning"
    if record.verdict == "breached":
        event, severity = "holdfast.rollout.rolled_back", "warning" if record.step == "shadow" else "critical"
        action = f"version {record.champion} is the champion again" if record.step == "watch" else "its traffic is off"
        text = f"{subject.capitalize()} was rolled back in the step {record.name}, {action}: {reason}"
    elif record.verdict == "stopped" and record.is_held:
        event = "holdfast.rollout.held"
        text = f"The rollout of {subject} stopped in the step {record.name}: {reason}"
    if event is not None:
        add_alert(settings, Alert.for_subject(event, subject, severity, text, evidence), now)
        payload = record.model_dump(mode="json", include=_PAYLOAD) | {
            "model": declared_name(client.model_name),
            "version": version,
            "summary": text,
        }
        emit_event(event, f"version.{version}", payload)
    resolve_alert(settings, f"{_UNREACHABLE}:{subject}", "the step has ended", now)
    record.append_event(client, version)
    deliver_now(settings)


def notify_promoted(model: str, version: str, previous: str | None) -> None:
    """Emit the event that a rollout promoted its version.

    Args:
        model: Name of the model.
        version: Version number.
        previous: The champion before.
    """
    subject = describe_version(model, version)
    text = f"{subject.capitalize()} is the champion, after a rollout without a breach."
    payload = {"model": model, "version": version, "previous": previous, "summary": text}
    emit_event("holdfast.rollout.promoted", f"version.{version}", payload)


def notify_unreachable(settings: Settings, subject: str, url: str, is_unreachable: bool, now: datetime) -> None:
    """Raise or resolve the alert that the service or the registry does not respond during a rollout.

    Args:
        settings: Settings with the alert outbox.
        subject: Name of the version in alerts.
        url: URL of the service.
        is_unreachable: True raises the alert, False resolves it.
        now: Time of the call.
    """
    text = f"The rollout of {subject} waits: {url}/metrics, or the model registry, does not respond."
    alert = Alert.for_subject(_UNREACHABLE, subject, "warning", text)
    if is_unreachable:
        add_alert(settings, alert, now)
    else:
        resolve_alert(settings, alert.key, "the service and the registry respond", now)
    deliver_now(settings)
