"""What a monitoring run found, as its events at Prefect's server tell of it: nothing else can be acted on."""

import time
from collections.abc import Sequence
from datetime import datetime

from holdfast.monitoring.findings import Finding
from simulations.outcome import Seen
from simulations.prefect_api import PrefectApi

_EVENTS_WITHIN = 20.0
_KEPT_WITHIN = 8.0  # the server writes the events of some seconds at a time


def seen_by(api: PrefectApi, as_of: datetime, told: Sequence[Finding] | None, since: datetime) -> list[Seen]:
    """The findings of a run, and whether the server has their events; it takes them a moment later.

    A run of a worker, or of which one view failed, gives no result (None): then the events tell.
    """
    if told is None:
        time.sleep(_KEPT_WITHIN)
        return found_in_events(api, since, as_of)
    deadline = time.monotonic() + _EVENTS_WITHIN
    while True:
        events = found_in_events(api, since, as_of)
        arrived = {(item.event, item.subject) for item in events}
        if all((item.event, item.subject) in arrived for item in told) or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return [
        Seen(
            as_of=as_of,
            event=item.event,
            subject=item.subject,
            severity=item.severity,
            summary=item.summary,
            event_at_server=(item.event, item.subject) in arrived,
        )
        for item in told
    ]


def found_in_events(api: PrefectApi, since: datetime, as_of: datetime) -> list[Seen]:
    """The findings of a monitoring run, as events at the server tell of them."""
    return [
        Seen(
            as_of=as_of,
            event=event.name,
            subject=str(event.payload["subject"]),
            severity=str(event.payload["severity"]),
            summary=str(event.payload["summary"]),
            event_at_server=True,
        )
        for event in api.events(since)
        if "severity" in event.payload and datetime.fromisoformat(event.payload["as_of"]) == as_of
    ]
