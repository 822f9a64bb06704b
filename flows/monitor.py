"""Monitoring: four views of a window, kept, shown and acted on. `python -m flows.monitor --as-of 1998-06-01`"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_image_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from feature_repo.errors import HoldfastError
from feature_repo.settings import Settings, load_settings
from flows.clock import resolve_as_of, resolve_known_at, run_name
from flows.monitoring.findings import Finding, View
from flows.monitoring.settings import MonitorSettings

if TYPE_CHECKING:
    from flows.monitoring.view_result import ViewResult
    from flows.monitoring.window import Window

VIEWS: tuple[View, ...] = get_args(View)


class MonitorError(HoldfastError):
    """A view could not be made."""


@dataclass(frozen=True)
class MonitorResult:
    """What was seen: a sentence per view, and what was found wrong."""

    as_of: datetime
    views: dict[View, str]
    findings: tuple[Finding, ...]


@task(name="look", task_run_name="look: {view}", cache_policy=NO_CACHE, persist_result=False)
def look_task(settings: Settings, window: "Window", rules: MonitorSettings, view: View) -> "ViewResult":
    """Measure and judge one view; its measurements join the metrics table."""
    from flows.monitoring.metrics_table import write_metrics

    module = importlib.import_module(f"flows.monitoring.{view}_view")
    found: ViewResult = getattr(module, f"{view}_view")(settings, window, rules)
    write_metrics(settings, view, window.start, window.as_of, found.metrics)
    return found


@task(name="show", task_run_name="show: {found.view}", cache_policy=NO_CACHE, persist_result=False)
def show_task(found: "ViewResult") -> None:
    """Table and picture in Prefect's pages."""
    from flows.reporting.images import data_url, png

    told, key = "\n\n".join([found.summary, *found.notes]), _artifact(found.view)
    create_image_artifact(data_url(png(found.picture)), key=f"{key}-picture", description=found.summary)
    create_table_artifact(list(found.table), key=key, description=told)


@task(name="act", task_run_name="act: {found.view}", cache_policy=NO_CACHE, persist_result=False)
def act_task(settings: Settings, found: "ViewResult", as_of: datetime) -> None:
    """Every finding becomes an event, for automations, and an alert, for people; alerts of what is over are closed."""
    from flows.acting.events import emit
    from flows.acting.evidence import artifact_page
    from flows.alerting.alert import Alert
    from flows.alerting.outbox import deliver_now, raise_alerts

    evidence = artifact_page(_artifact(found.view))
    alerts = [Alert.of_finding(finding, evidence) for finding in found.findings]
    raise_alerts(settings, f"monitor.{found.view}", alerts, datetime.now(UTC))
    for finding in found.findings:
        emit(finding, found.view, as_of, evidence)
    deliver_now(settings)


@task(name="report", task_run_name="report: {found.view}", cache_policy=NO_CACHE, persist_result=False)
def report_task(settings: Settings, found: "ViewResult", as_of: datetime, keep_days: int) -> None:
    """Put the view's report into Evidently's workspace, and take old ones out."""
    from flows.monitoring.reports import keep_report

    report = found.report() if callable(found.report) else found.report
    if report is not None:
        keep_report(settings, found.view, report, as_of, keep_days)


@flow(name="monitor", flow_run_name=run_name, persist_result=False)
def monitor(
    as_of: datetime | None = None,
    known_at: datetime | None = None,
    views: list[View] | None = None,
    settings: MonitorSettings | None = None,
) -> MonitorResult:
    """Look at data, drift, skew and outcomes of the window that ends at as_of, and say what is wrong.

    Args:
        as_of: The end of the window; now when left out.
        known_at: Use only data that had arrived by then; everything when left out.
        views: Which to make, of data, drift, skew and outcome; all when left out.
        settings: Windows and limits.
    """
    from flows.monitoring.window import Window

    state, rules = load_settings(), settings or MonitorSettings()
    window = Window.ending(resolve_as_of(as_of, state), rules.window_days, resolve_known_at(known_at))
    seen: dict[View, ViewResult] = {}
    failed: dict[View, Exception] = {}
    for view in views or VIEWS:
        try:  # one that fails says nothing of the others
            seen[view] = _view(state, window, rules, view)
        except Exception as error:
            failed[view] = error
    log = get_run_logger()
    for view, found in seen.items():
        log.info("%s: %s", view, found.summary)
        for finding in found.findings:
            log.warning("%s: %s: %s", finding.severity, finding.event, finding.summary)
    if failed:
        told = "; ".join(f"{view}: {type(error).__name__}: {error}" for view, error in failed.items())
        first = next(iter(failed.values()))
        raise MonitorError(f"{len(failed)} of {len(failed) + len(seen)} views failed: {told}") from first
    findings = tuple(finding for found in seen.values() for finding in found.findings)
    return MonitorResult(window.as_of, {view: found.summary for view, found in seen.items()}, findings)


def _view(settings: Settings, window: "Window", rules: MonitorSettings, view: View) -> "ViewResult":
    found = look_task(settings, window, rules, view)
    try:
        show_task(found)
    finally:  # what is wrong is told whether or not it can be shown
        act_task(settings, found, window.as_of)
    if found.report is not None:
        report_task(settings, found, window.as_of, rules.keep_reports_days)
    return found


def _artifact(view: View) -> str:
    return f"monitor-{view}"


def _show(result: MonitorResult) -> None:
    import typer

    lines: Sequence[str] = [f"{view}: {summary}" for view, summary in result.views.items()]
    found = [f"{item.severity}: {item.event} {item.subject}: {item.summary}" for item in result.findings]
    typer.echo("\n".join([f"as of {result.as_of:%Y-%m-%d %H:%M} UTC", *lines, *(found or ["nothing is wrong"])]))


if __name__ == "__main__":
    from flows.cli import run_flow

    run_flow(monitor, show=_show)
