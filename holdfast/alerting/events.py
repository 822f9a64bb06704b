"""Prefect events that trigger automations, and events and alerts for the findings of a monitoring view.

A run without a Prefect server continues with a warning.
"""

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert
from holdfast.alerting.delivery import deliver_now
from holdfast.alerting.outbox import raise_alerts
from holdfast.monitoring.findings import Finding, View

if TYPE_CHECKING:
    from holdfast.monitoring.result import ViewResult  # loads matplotlib, which no flow needs for an event

LifecycleEvent = Literal[
    "holdfast.challenger.ready",
    "holdfast.retraining.done",
    "holdfast.rollout.promoted",
    "holdfast.rollout.rolled_back",
    "holdfast.rollout.held",
]

_SECONDS = 15.0  # Prefect's client tries to reach the server for about ten


def report_findings(settings: Settings, result: "ViewResult", as_of: datetime, evidence_url: str) -> None:
    """Emit an event and raise an alert for each finding; resolve the alerts whose finding no longer exists.

    Events are emitted even where the alerts cannot be stored.

    Args:
        settings: Data folder.
        result: The result of the view.
        as_of: End of the monitored window.
        evidence_url: Link to the view's report.
    """
    alerts = [Alert.from_finding(finding, evidence_url) for finding in result.findings]
    try:
        raise_alerts(settings, f"monitor.{result.view}", alerts, datetime.now(UTC), result.is_evaluated)
    finally:
        for finding in result.findings:
            emit_finding(finding, result.view, as_of, evidence_url)
    deliver_now(settings)


def emit_finding(finding: Finding, view: View, as_of: datetime, evidence_url: str = "") -> bool:
    """Emit the event of a finding about the resource ``holdfast.VIEW.SUBJECT``.

    Args:
        finding: Its payload is sent with ``summary``, ``severity``, ``subject``, ``as_of`` (ISO 8601), ``view`` and
            ``evidence``.
        view: Monitoring view that has the finding.
        as_of: End of the monitored window.
        evidence_url: Link to the measurements.

    Returns:
        True if the event was handed to the server.
    """
    payload = {
        **finding.payload,
        "summary": finding.summary,
        "severity": finding.severity,
        "subject": finding.subject,
        "view": view,
        "as_of": as_of.isoformat(),
        "evidence": evidence_url,
    }
    return _send(finding.event, f"holdfast.{view}.{finding.subject}", payload)


def emit_event(event: LifecycleEvent, resource: str, payload: dict[str, Any]) -> bool:
    """Emit an event of the model lifecycle.

    Args:
        event: Name of the event.
        resource: Subject without the prefix ``holdfast.``, such as ``version.3``.
        payload: JSON values.

    Returns:
        True if the event was handed to the server.
    """
    return _send(event, f"holdfast.{resource}", payload)


def _send(event: str, resource: str, payload: dict[str, Any]) -> bool:
    """Emit an event and wait until it has left: a run that ends or is killed right afterwards must not lose it."""
    from prefect.events import emit_event as emit
    from prefect.events.worker import EventsWorker

    log = logging.getLogger(__name__)
    try:
        emitted = emit(event, resource={"prefect.resource.id": resource}, payload=payload)
        if emitted is not None:
            waiting = threading.Thread(target=EventsWorker.instance().wait_until_empty, daemon=True)
            waiting.start()
            waiting.join(_SECONDS)
            if not waiting.is_alive():
                return True
    except Exception as error:  # an event that is too large, an invalid response: neither may end the run
        log.warning("%s: %s", type(error).__name__, error)
    log.warning(
        "The event %s about %s did not reach a Prefect server: no automation acts on it. The next run emits it again "
        "if its cause remains.",
        event,
        resource,
    )
    return False
