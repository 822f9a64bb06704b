"""Alerts: delivery of waiting messages, list of open alerts. `python -m flows.alerts [--resolve KEY --reason TEXT]`."""

import json
from datetime import UTC, datetime
from functools import partial
from typing import cast

from prefect import flow, get_run_logger
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import plain_rows, publish_table
from flows._cli import run_flow
from flows._tasks import task
from holdfast.alerting.alert import OpenAlert
from holdfast.alerting.channels import build_channels
from holdfast.alerting.delivery import DeliveryCounts, deliver
from holdfast.alerting.outbox import list_open_alerts, queue_reminders, resolve_alert
from holdfast.alerting.run_alerts import resolve_run_alerts
from holdfast.core.errors import HoldfastError
from holdfast.core.formatting import format_count
from holdfast.reporting.artifact_tables import alert_rows
from holdfast.reporting.flow_results import AlertsResult
from holdfast.runtime.flow_runs import find_completed_since

_ARTIFACT = "open-alerts"


class UnknownAlertError(HoldfastError):
    """No alert with this key is open."""


class NoReasonError(HoldfastError):
    """An alert was to be resolved without a reason."""


@task(name="resolve alerts of repeated runs")
def resolve_run_alerts_task(settings: Settings) -> int:
    """Resolve alerts of crashed or failed runs after which a run of the same deployment has completed; count them."""
    with get_client(sync_client=True) as client:
        return resolve_run_alerts(settings, partial(find_completed_since, client), datetime.now(UTC))


@task(name="deliver")
def deliver_task(settings: Settings) -> DeliveryCounts:
    """Queue reminders of alerts that stay open, and send the messages that no receiver has accepted yet."""
    now = datetime.now(UTC)
    queue_reminders(settings, now)
    return deliver(settings, build_channels(), now)


@flow(name="alerts", flow_run_name="alerts", persist_result=False)
def alerts(resolve: str | None = None, reason: str = "") -> AlertsResult:
    """Deliver waiting messages and list the open alerts; resolve one alert by its key.

    Args:
        resolve: The key of the alert to resolve, such as holdfast.drift.detected:recency.
        reason: Why the alert is resolved, in a sentence; its receivers get the reason.
    """
    settings = configure()
    if resolve is not None:
        _resolve(settings, resolve, reason.strip())
    resolve_run_alerts_task(settings)
    delivered = deliver_task(settings)
    still_open = list_open_alerts(settings)
    _publish(still_open)
    log = get_run_logger()
    log.info("%d open, %d sent, %d waiting", len(still_open), delivered.sent, delivered.waiting)
    if delivered.given_up:
        log.error("%s given up: no receiver accepted any", format_count(delivered.given_up, "message"))
    return AlertsResult(still_open, delivered)


def _resolve(settings: Settings, key: str, reason: str) -> None:
    unknown = UnknownAlertError(f"No alert {key} is open. `python -m flows.alerts` lists the open alerts.")
    if key not in {item.key for item in list_open_alerts(settings)}:
        raise unknown
    if not reason:
        raise NoReasonError(f"Give a reason for resolving {key} (`--reason`): the receivers of the alert get it.")
    if not resolve_alert(settings, key, reason, datetime.now(UTC)):  # another process has resolved it meanwhile
        raise unknown


def _publish(still_open: list[OpenAlert]) -> None:
    """Publish the open alerts in the Prefect UI if the list has changed."""
    rows = plain_rows(alert_rows(still_open))
    latest = cast("Artifact | None", Artifact.get(_ARTIFACT))  # without an event loop Prefect returns it at once
    if json.loads(str(latest.data)) != rows if latest else rows:
        publish_table(rows, key=_ARTIFACT, description=format_count(len(rows), "open alert"))


if __name__ == "__main__":
    run_flow(alerts)
