"""Events that automations act on. They go to a Prefect server; where there is none, the run goes on and says so."""

import logging
import threading
from datetime import datetime
from typing import Any, Literal

from holdfast.monitoring.findings import Finding, View

LifecycleEvent = Literal[
    "holdfast.challenger.ready",
    "holdfast.retraining.done",
    "holdfast.rollout.promoted",
    "holdfast.rollout.rolled_back",
    "holdfast.rollout.held",
]

_SECONDS = 15.0  # Prefect's client tries to reach the server for about ten


def emit_finding(finding: Finding, view: View, as_of: datetime, evidence: str = "") -> bool:
    """Emit a finding as its event; whether it is on its way to the server, as far as can be told.

    The resource is ``holdfast.VIEW.SUBJECT``, the payload the finding's with ``summary``, ``severity``, ``subject``,
    ``as_of`` (ISO 8601), ``view`` and ``evidence``.
    """
    told = {"summary": finding.summary, "severity": finding.severity, "subject": finding.subject, "view": view}
    told |= {"as_of": as_of.isoformat(), "evidence": evidence}
    return _send(finding.event, f"holdfast.{view}.{finding.subject}", finding.payload | told)


def emit_event(event: LifecycleEvent, resource: str, payload: dict[str, Any]) -> bool:
    """Emit an event about ``resource``, such as ``version.3``; whether it is on its way."""
    return _send(event, f"holdfast.{resource}", payload)


def _send(event: str, resource: str, payload: dict[str, Any]) -> bool:
    """Hand it over and wait until it is gone: a run that ends, or is killed, right after must not lose it."""
    from prefect.events import emit_event
    from prefect.events.worker import EventsWorker

    try:
        emitted = emit_event(event, resource={"prefect.resource.id": resource}, payload=payload)
        if emitted is not None:
            waiting = threading.Thread(target=EventsWorker.instance().wait_until_empty, daemon=True)
            waiting.start()
            waiting.join(_SECONDS)
            if not waiting.is_alive():
                return True
    except Exception as error:  # an event too large, a server that answers nonsense: none may end the run
        logging.getLogger(__name__).warning("%s: %s", type(error).__name__, error)
    logging.getLogger(__name__).warning(
        "The event %s about %s reached no Prefect server: no automation acts on it. The next run emits it again "
        "if it still holds.",
        event,
        resource,
    )
    return False
