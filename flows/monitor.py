"""Monitoring: four views of a window, kept, shown and acted on. `python -m flows.monitor --as-of 1998-06-01`"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from prefect import flow, get_run_logger
from prefect.artifacts import create_image_artifact, create_table_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._tasks import run_name, run_time, task
from holdfast.core.errors import HoldfastError
from holdfast.ingestion.as_of import ClockError, latest_as_of, resolve_as_of, resolve_known_at
from holdfast.monitoring.findings import Finding, View
from holdfast.monitoring.settings import MonitorSettings

if TYPE_CHECKING:
    from holdfast.monitoring.result import ViewResult
    from holdfast.monitoring.window import Window

VIEWS: tuple[View, ...] = get_args(View)


class MonitorError(HoldfastError):
    """A view could not be made."""


@dataclass(frozen=True)
class MonitorResult:
    """What was seen: a sentence per view, and what was found wrong.

    ``empty`` are the views that had nothing to look at, ``past`` those that have looked at a later window before: of
    these nobody is told.
    """

    as_of: datetime
    views: dict[View, str]
    findings: tuple[Finding, ...]
    empty: tuple[View, ...] = ()
    past: tuple[View, ...] = ()


@task(name="look", task_run_name="look: {view}")
def look_task(settings: Settings, window: "Window", rules: MonitorSettings, view: View) -> "ViewResult":
    """Measure and judge one view."""
    from holdfast.monitoring.data_quality.view import run_data_view
    from holdfast.monitoring.drift.view import run_drift_view
    from holdfast.monitoring.performance.view import run_outcome_view
    from holdfast.monitoring.skew.view import run_skew_view

    views = {"data": run_data_view, "drift": run_drift_view, "skew": run_skew_view, "outcome": run_outcome_view}
    return views[view](settings, window, rules)


@task(name="keep", task_run_name="keep: {found.view}")
def keep_task(settings: Settings, found: "ViewResult", window: "Window") -> None:
    """Its measurements join the metrics table."""
    from holdfast.monitoring.metrics_store import write_metrics

    write_metrics(settings, found.view, window.start, window.as_of, found.metrics)


@task(name="show", task_run_name="show: {found.view}")
def show_task(found: "ViewResult", key: str) -> None:
    """Table and picture in Prefect's pages."""
    from holdfast.core.formatting import png_data_url, render_png

    told = "\n\n".join([found.summary, *found.notes])
    create_image_artifact(png_data_url(render_png(found.plot)), key=f"{key}-picture", description=found.summary)
    create_table_artifact(list(found.table), key=key, description=told)


@task(name="act", task_run_name="act: {found.view}")
def act_task(settings: Settings, found: "ViewResult", as_of: datetime) -> None:
    """Every finding becomes an event, for automations, and an alert, for people; alerts of what is over are closed."""
    from holdfast.alerting.alert import Alert
    from holdfast.alerting.delivery import deliver_now
    from holdfast.alerting.events import emit_finding
    from holdfast.alerting.links import artifact_url
    from holdfast.alerting.outbox import raise_alerts

    evidence = artifact_url(_artifact(found.view))
    alerts = [Alert.from_finding(finding, evidence) for finding in found.findings]
    try:
        raise_alerts(settings, f"monitor.{found.view}", alerts, datetime.now(UTC), found.is_evaluated)
    finally:
        for finding in found.findings:
            emit_finding(finding, found.view, as_of, evidence)
    deliver_now(settings)


@task(name="report", task_run_name="report: {found.view}")
def report_task(settings: Settings, found: "ViewResult", as_of: datetime, keep_days: int) -> None:
    """Put the view's report into Evidently's workspace, and take old ones out."""
    from holdfast.monitoring.evidently_workspace import save_report

    report = found.report() if callable(found.report) else found.report
    if report is not None:
        save_report(settings, found.view, report, as_of, keep_days)


@flow(name="monitor", flow_run_name=run_name, persist_result=False)
def monitor(
    as_of: datetime | None = None,
    known_at: datetime | None = None,
    views: list[View] | None = None,
    settings: MonitorSettings | None = None,
) -> MonitorResult:
    """Look at data, drift, skew and outcomes of the window that ends at as_of, and say what is wrong.

    A window that ends before the newest one seen is a look at the past: it is measured and shown under keys of its own
    (monitor-VIEW-past), and neither events nor alerts follow.

    Args:
        as_of: The end of the window; now when left out. No moment ahead.
        known_at: Use only data that had arrived by then; everything when left out.
        views: Which to make, of data, drift, skew and outcome; all when left out.
        settings: Windows and limits.
    """
    from holdfast.monitoring.window import Window

    state, rules = configure(), settings or MonitorSettings()
    moment, latest = resolve_as_of(as_of, state, run_time()), latest_as_of(state, datetime.now(UTC))
    if as_of is not None and moment > latest:
        raise ClockError(
            f"as_of {moment:%Y-%m-%d %H:%M} UTC lies ahead: nothing after {latest:%Y-%m-%d %H:%M} UTC can be looked "
            "at. Give an earlier one, or none for now."
        )
    window = Window.ending_at(moment, rules.window_days, resolve_known_at(known_at))
    past = tuple(view for view in views or VIEWS if _is_past(state, view, moment))
    seen: dict[View, ViewResult] = {}
    failed: dict[View, Exception] = {}
    for view in views or VIEWS:
        try:  # one that fails says nothing of the others
            seen[view] = _view(state, window, rules, view, view in past)
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
    if past:
        log.info("%s: a look at the past, of which nobody is told", ", ".join(past))
    findings = tuple(finding for found in seen.values() for finding in found.findings)
    empty = tuple(view for view, found in seen.items() if found.is_empty)
    return MonitorResult(moment, {view: found.summary for view, found in seen.items()}, findings, empty, past)


def _view(settings: Settings, window: "Window", rules: MonitorSettings, view: View, is_past: bool) -> "ViewResult":
    found = look_task(settings, window, rules, view)
    try:
        keep_task(settings, found, window)
        show_task(found, f"{_artifact(view)}-past" if is_past else _artifact(view))
    finally:  # what is wrong is told whether or not it can be kept and shown
        if not is_past:
            act_task(settings, found, window.as_of)
    if found.report is not None:
        report_task(settings, found, window.as_of, rules.keep_reports_days)
    return found


def _is_past(settings: Settings, view: View, moment: datetime) -> bool:
    """Whether a later window was looked at before.

    One that lies ahead of now does not count: it may after a change of the clock, or be a look ahead in a replay.
    """
    from holdfast.monitoring.metrics_store import latest_window_end

    now = latest_as_of(settings, datetime.now(UTC))
    if settings.clock != "wall":
        with suppress(ClockError):  # without data, nothing lies ahead
            now = resolve_as_of(None, settings, run_time())
    newest = latest_window_end(settings, view, now)
    return newest is not None and moment < newest


def _artifact(view: View) -> str:
    return f"monitor-{view}"


def _show(result: MonitorResult) -> None:
    import typer

    lines: Sequence[str] = [f"{view}: {summary}" for view, summary in result.views.items()]
    found = [f"{item.severity}: {item.event} {item.subject}: {item.summary}" for item in result.findings]
    nothing = "nothing could be looked at" if len(result.empty) == len(result.views) else "nothing is wrong"
    past = [f"{', '.join(result.past)}: a look at the past, of which nobody is told"] if result.past else []
    typer.echo("\n".join([f"as of {result.as_of:%Y-%m-%d %H:%M} UTC", *lines, *(found or [nothing]), *past]))


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(monitor, show=_show)
