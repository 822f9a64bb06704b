"""Alerts: list the open ones, resolve one, deliver what waits. `python -m flows.alerts [--resolve KEY --reason WHY]`"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from prefect import flow, get_run_logger
from prefect.artifacts import Artifact, create_table_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._tasks import task
from holdfast.core.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.alerting.alert import OpenAlert
    from holdfast.alerting.delivery import DeliveryCounts

_ARTIFACT = "open-alerts"
_OF_RUNS = ("holdfast.run.failed:", "holdfast.run.crashed:")


class UnknownAlertError(HoldfastError):
    """No alert of this key is open."""


class NoReasonError(HoldfastError):
    """Nobody said why an alert is over."""


@dataclass(frozen=True)
class AlertsResult:
    """What is open, worst first, and what was delivered."""

    open: "list[OpenAlert]"
    delivered: "DeliveryCounts"


@task(name="close what is over")
def close_task(settings: Settings) -> int:
    """A run that crashed or failed is over once a later one of its deployment has done its work; how many were."""
    from prefect.client.orchestration import get_client

    from holdfast.alerting.outbox import list_open_alerts, resolve_alert
    from holdfast.recovery.flow_runs import find_completed_since

    closed = 0
    with get_client(sync_client=True) as client:
        for alert in list_open_alerts(settings):
            for kind in _OF_RUNS:
                deployment = alert.key.removeprefix(kind)
                if deployment != alert.key and (run := find_completed_since(client, deployment, alert.last_seen)):
                    closed += resolve_alert(settings, alert.key, f"run {run} has completed since", datetime.now(UTC))
    return closed


@task(name="deliver")
def deliver_task(settings: Settings) -> "DeliveryCounts":
    """Remind of what stays open, and send what no receiver has taken yet."""
    from holdfast.alerting.channels import build_channels
    from holdfast.alerting.delivery import deliver
    from holdfast.alerting.outbox import queue_reminders
    from holdfast.alerting.settings import load_alert_settings

    now = datetime.now(UTC)
    queue_reminders(settings, now)
    return deliver(settings, build_channels(load_alert_settings()), now)


@flow(name="alerts", flow_run_name="alerts", persist_result=False)
def alerts(resolve: str | None = None, reason: str = "") -> AlertsResult:
    """Deliver the alerts that wait, and list the open ones; resolve one by its key.

    Args:
        resolve: The key of an alert that is over, such as holdfast.drift.detected:recency.
        reason: Why it is over, in a sentence: it is told.
    """
    from holdfast.alerting.outbox import list_open_alerts
    from holdfast.alerting.outbox import resolve_alert as close

    settings = configure()
    if resolve is not None:
        unknown = UnknownAlertError(f"No alert {resolve} is open. `python -m flows.alerts` lists those that are.")
        if resolve not in {item.key for item in list_open_alerts(settings)}:
            raise unknown
        if not reason.strip():
            raise NoReasonError(f"Say why {resolve} is over (`--reason`): it is told to those who were alarmed.")
        if not close(settings, resolve, reason.strip(), datetime.now(UTC)):  # it was, until just now
            raise unknown
    close_task(settings)
    delivered = deliver_task(settings)
    still = list_open_alerts(settings)
    _show_open(still)
    log = get_run_logger()
    log.info("%d open, %d sent, %d waiting", len(still), delivered.sent, delivered.waiting)
    if delivered.given_up:
        log.error("%d message(s) given up: their receiver never took them", delivered.given_up)
    return AlertsResult(still, delivered)


def _show_open(still: "list[OpenAlert]") -> None:
    """In Prefect's pages, if it is not what stands there."""
    rows = [
        {
            "severity": item.severity,
            "alert": item.title,
            "text": item.text,
            "since": f"{item.opened:%Y-%m-%d %H:%M}",
            "seen": item.count,
            "key": item.key,
            "evidence": item.evidence,
            "runbook": item.runbook,
        }
        for item in still
    ]
    stands = cast("Artifact | None", Artifact.get(_ARTIFACT))  # a flow without a loop gets it at once
    if json.loads(str(stands.data)) != rows if stands else rows:
        create_table_artifact(rows, key=_ARTIFACT, description=f"{len(rows)} open alert(s)")


def _show(result: AlertsResult) -> None:
    import typer

    for item in result.open:
        typer.echo(f"{item.severity:8}  {item.key}  since {item.opened:%Y-%m-%d %H:%M}, seen {item.count} times")
        typer.echo(f"          {item.text}")
        for name, place in (("evidence", item.evidence), ("runbook", item.runbook)):
            if place:
                typer.echo(f"          {name}: {place}")
    sent = result.delivered
    typer.echo(f"{len(result.open)} open. Sent {sent.sent}, waiting {sent.waiting}, given up {sent.given_up}.")


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(alerts, show=_show)
