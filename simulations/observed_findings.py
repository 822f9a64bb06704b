"""Findings of monitoring runs, as their events reached Prefect's server."""

import time
from collections.abc import Sequence
from datetime import datetime

from holdfast.monitoring.findings import Finding
from holdfast.runtime.polling import poll_until
from simulations.prefect_api import PrefectApi
from simulations.scenario_result import ObservedFinding

_EVENTS_WITHIN = 20.0
_WRITTEN_WITHIN = 8.0  # the server writes the events of some seconds at a time


def observe_findings(
    api: PrefectApi, as_of: datetime, findings: Sequence[Finding] | None, since: datetime
) -> list[ObservedFinding]:
    """Wait for the events of a monitoring run, and record which findings have one.

    Args:
        api: Prefect's server.
        as_of: End of the window of the run.
        findings: Result of the run; None: there is no result (a run of the worker, or a view failed), so the events
            are the findings.
        since: Start of the run, by the wall clock.

    Returns:
        The findings of the run.
    """
    if findings is None:
        time.sleep(_WRITTEN_WITHIN)
        return _findings_from_events(api, since, as_of)
    received: set[tuple[str, str]] = set()

    def all_received() -> bool:
        received.update((item.event, item.subject) for item in _findings_from_events(api, since, as_of))
        return received.issuperset((item.event, item.subject) for item in findings)

    poll_until(all_received, _EVENTS_WITHIN, 0.5)
    return [
        ObservedFinding(
            as_of=as_of,
            event=item.event,
            subject=item.subject,
            severity=item.severity,
            summary=item.summary,
            event_at_server=(item.event, item.subject) in received,
        )
        for item in findings
    ]


def _findings_from_events(api: PrefectApi, since: datetime, as_of: datetime) -> list[ObservedFinding]:
    return [
        ObservedFinding(
            as_of=as_of,
            event=event.event,
            subject=str(event.payload["subject"]),
            severity=str(event.payload["severity"]),
            summary=str(event.payload["summary"]),
            event_at_server=True,
        )
        for event in api.list_events(since)
        if "severity" in event.payload and datetime.fromisoformat(event.payload["as_of"]) == as_of
    ]
