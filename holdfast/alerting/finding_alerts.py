"""Events and alerts for the findings of a monitoring view."""

from datetime import UTC, datetime

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert
from holdfast.alerting.delivery import deliver_now
from holdfast.alerting.events import emit_finding
from holdfast.alerting.outbox import raise_alerts
from holdfast.monitoring.result import ViewResult


def report_findings(settings: Settings, result: ViewResult, as_of: datetime, evidence: str) -> None:
    """Emit an event and raise an alert for each finding; resolve the alerts whose finding is gone.

    Events are emitted even where the alerts cannot be stored.

    Args:
        settings: Data folder.
        result: The result of the view.
        as_of: End of the monitored window.
        evidence: Link to the view's report.
    """
    alerts = [Alert.from_finding(finding, evidence) for finding in result.findings]
    try:
        raise_alerts(settings, f"monitor.{result.view}", alerts, datetime.now(UTC), result.is_evaluated)
    finally:
        for finding in result.findings:
            emit_finding(finding, result.view, as_of, evidence)
    deliver_now(settings)
