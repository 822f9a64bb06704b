"""Alerts about failed and crashed flow runs."""

from holdfast.alerting.alert import Alert
from holdfast.monitoring.findings import Severity
from holdfast.recovery.policy import RunStatus
from holdfast.runtime.endpoints import run_url

# Without these nothing else is noticed: their failure is critical.
_CRITICAL_DEPLOYMENTS = ("daily", "ingest", "features", "score", "monitor", "rollout", "alerts", "recover")


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
