"""Alerts about failed and crashed flow runs, and about retrainings."""

from collections.abc import Callable, Sequence
from datetime import datetime

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert
from holdfast.alerting.outbox import list_open_alerts, resolve_alert
from holdfast.monitoring.findings import Severity
from holdfast.recovery.policy import RunStatus
from holdfast.runtime.endpoints import run_url

# Without these nothing else is noticed: their failure is critical.
_CRITICAL_DEPLOYMENTS = ("daily", "ingest", "features", "score", "monitor", "rollout", "alerts", "recover")
_RUN_EVENTS = ("holdfast.run.failed:", "holdfast.run.crashed:")


def build_run_alert(run: RunStatus, next_run_id: str = "") -> Alert:
    """Build the alert of a failed or crashed flow run.

    Args:
        run: The run; the first 500 characters of its message are in the alert.
        next_run_id: The run that repeats it; empty where the run is not repeated.

    Returns:
        The alert.
    """
    subject = run.deployment or run.name
    text = f"Run {run.name} of {subject}: {run.message[:500] or 'no message'}"
    if run.state == "FAILED":
        severity: Severity = "critical" if run.deployment in _CRITICAL_DEPLOYMENTS else "warning"
        return Alert.for_subject("holdfast.run.failed", subject, severity, text, run_url(run.id))
    if next_run_id:  # by id: the name of the repetition changes when it starts
        text += f" It is repeated, repetition {run.attempt + 1}: {run_url(next_run_id)}"
        return Alert.for_subject("holdfast.run.crashed", subject, "warning", text, run_url(run.id))
    reason = "the maximum number of repetitions is reached" if run.attempt else "its deployment is not repeatable"
    text += f" It is not repeated automatically: {reason}."
    return Alert.for_subject("holdfast.run.crashed", subject, "critical", text, run_url(run.id))


def resolve_run_alerts(settings: Settings, find_completed: Callable[[str, datetime], str | None], now: datetime) -> int:
    """Resolve alerts of crashed or failed runs after which a run of the same deployment has completed.

    Args:
        settings: Settings with the data folder.
        find_completed: Returns the name of a run of a deployment that has completed since a time, or None.
        now: Time of the resolution.

    Returns:
        Number of resolved alerts.
    """
    resolved = 0
    for alert in list_open_alerts(settings):
        for kind in _RUN_EVENTS:
            deployment = alert.key.removeprefix(kind)
            if deployment != alert.key and (run := find_completed(deployment, alert.last_seen)):
                resolved += resolve_alert(settings, alert.key, f"run {run} has completed since", now)
    return resolved


def build_retraining_alerts(
    model_name: str, version: str, why: str, passed: bool, failed_gates: Sequence[str], run_url: str
) -> list[Alert]:
    """Build the alert about a retrained version that failed its gates.

    Args:
        model_name: Name of the registered model.
        version: Version number.
        why: Reason of the retraining.
        passed: Whether the version passed its gates.
        failed_gates: Names of the failed gates.
        run_url: Link to the flow run.

    Returns:
        The alert; empty if the version passed, which resolves an open alert.
    """
    if passed:
        return []
    text = (
        f"Version {version}, retrained because of {why}, did not pass its gates: {', '.join(failed_gates)}. The "
        "champion is unchanged."
    )
    return [Alert.for_subject("holdfast.retraining.refused", model_name, "info", text, run_url)]
