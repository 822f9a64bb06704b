"""Notifications about rollout results: version record, event and alert."""

from datetime import datetime
from typing import Any

from mlflow import MlflowClient

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert
from holdfast.alerting.delivery import deliver_now
from holdfast.alerting.events import emit_event
from holdfast.alerting.outbox import add_alert, resolve_alert
from holdfast.model_versions.records import RolloutRecord
from holdfast.monitoring.findings import Severity
from holdfast.rollout.registry_actions import rollback_step

_ROLLED_BACK, _HELD, _SILENT = "holdfast.rollout.rolled_back", "holdfast.rollout.held", "holdfast.rollout.blind"


def finish_step(
    client: MlflowClient, settings: Settings, version: str, record: RolloutRecord, now: datetime, evidence: str = ""
) -> None:
    """End a step as its record states: write the record, act, notify. Calling again completes a killed call.

    Args:
        client: MLflow client.
        settings: Settings with registry and alert store.
        version: Version of the rollout.
        record: Record with the verdict of the step.
        now: Current time, UTC.
        evidence: URL in the alert.
    """
    record.write_tag(client, version)
    problem = rollback_step(client, settings, version, record, now)
    told = f"{record.why}. {problem}" if problem else record.why
    if record.verdict == "breached":
        back = f"version {record.champion} serves again" if record.step == "watch" else "it gets no traffic any more"
        severity: Severity = "warning" if record.step == "shadow" else "critical"
        text = f"Version {version} was rolled back in the step {record.name}, {back}: {told}"
        add_alert(settings, Alert.for_subject(_ROLLED_BACK, f"version {version}", severity, text, evidence), now)
        emit_event("holdfast.rollout.rolled_back", f"version.{version}", _payload(version, record, text))
    elif record.verdict == "stopped" and record.is_held:
        text = f"The rollout of version {version} ended in the step {record.name}: {told}"
        add_alert(settings, Alert.for_subject(_HELD, f"version {version}", "warning", text, evidence), now)
        emit_event("holdfast.rollout.held", f"version.{version}", _payload(version, record, text))
    resolve_alert(settings, f"{_SILENT}:version {version}", "the step has ended", now)
    record.append_event(client, version)
    deliver_now(settings)


def notify_promoted(version: str, previous: str | None) -> None:
    """Emit the event of a promotion by a rollout.

    Args:
        version: New champion.
        previous: Previous champion, None without one.
    """
    text = f"Version {version} is the champion, after a rollout without a breach."
    emit_event(
        "holdfast.rollout.promoted", f"version.{version}", {"version": version, "previous": previous, "summary": text}
    )


def notify_unreachable(settings: Settings, version: str, url: str, silent: bool, now: datetime) -> None:
    """Raise or resolve the alert of an unreachable service or registry.

    Args:
        settings: Settings with the alert store.
        version: Version of the rollout.
        url: Address of the service.
        silent: True if service or registry does not answer.
        now: Current time, UTC.
    """
    text = f"The rollout of version {version} waits: {url}/metrics, or the model registry, does not answer."
    alert = Alert.for_subject(_SILENT, f"version {version}", "warning", text)
    if silent:
        add_alert(settings, alert, now)
    else:
        resolve_alert(settings, alert.key, "the service and the registry answer", now)
    deliver_now(settings)


def _payload(version: str, record: RolloutRecord, text: str) -> dict[str, Any]:
    told = record.model_dump(
        mode="json",
        include={"step", "share", "begun", "when", "champion", "requests", "customers", "others", "figures", "why"},
    )
    return told | {"version": version, "summary": text}
