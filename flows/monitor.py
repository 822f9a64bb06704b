"""Monitoring: five views of a window, with events and alerts for findings. `python -m flows.monitor`."""

from datetime import datetime
from typing import TYPE_CHECKING, get_args

from prefect import flow, get_run_logger

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_plot, publish_table
from flows._cli import run_flow
from flows._tasks import run_name, run_time, task
from holdfast.core.errors import HoldfastError
from holdfast.core.plot_style import render_png
from holdfast.monitoring.findings import View
from holdfast.monitoring.settings import MonitorSettings
from holdfast.reporting.flow_results import MonitorResult
from holdfast.runtime.endpoints import artifact_url

if TYPE_CHECKING:
    from holdfast.monitoring.result import ViewResult
    from holdfast.monitoring.window import Window


class MonitorError(HoldfastError):
    """A view failed."""


@task(name="run view", task_run_name="run view: {view}")
def run_view_task(settings: Settings, window: "Window", rules: MonitorSettings, view: View) -> "ViewResult":
    """Measure one view of the window and evaluate its findings."""
    from holdfast.monitoring.data_quality.view import run_data_quality_view
    from holdfast.monitoring.drift.view import run_drift_view
    from holdfast.monitoring.performance.view import run_performance_view
    from holdfast.monitoring.skew.view import run_skew_view
    from holdfast.monitoring.spend.view import run_spend_view

    views = {
        "data": run_data_quality_view,
        "drift": run_drift_view,
        "skew": run_skew_view,
        "outcome": run_performance_view,
        "spend": run_spend_view,
    }
    return views[view](settings, window, rules)


@task(name="store metrics", task_run_name="store metrics: {result.view}")
def store_metrics_task(settings: Settings, result: "ViewResult", window: "Window") -> None:
    """Write the measurements of the view to the metrics table."""
    from holdfast.monitoring.metrics_store import write_metrics

    write_metrics(settings, result.view, window.start, window.as_of, result.metrics)


@task(name="publish report", task_run_name="publish report: {result.view}")
def publish_view_task(result: "ViewResult", key: str) -> None:
    """Publish the table and the plot of the view in the Prefect UI."""
    publish_plot(render_png(result.plot), f"{key}-plot", result.summary)
    publish_table(list(result.table), key=key, description="\n\n".join([result.summary, *result.notes]))


@task(name="handle findings", task_run_name="handle findings: {result.view}")
def handle_findings_task(settings: Settings, result: "ViewResult", as_of: datetime) -> None:
    """Emit an event and raise an alert for each finding; resolve the alerts whose finding no longer exists."""
    from holdfast.alerting.events import report_findings

    report_findings(settings, result, as_of, artifact_url(_artifact_key(result.view)))


@task(name="store Evidently report", task_run_name="store Evidently report: {result.view}")
def store_report_task(settings: Settings, result: "ViewResult", as_of: datetime, keep_days: int) -> None:
    """Add the view's report to Evidently's workspace and delete old reports."""
    from holdfast.monitoring.evidently_workspace import save_report

    if result.report is not None and (report := result.report()) is not None:
        save_report(settings, result.view, report, as_of, keep_days)


@flow(name="monitor", flow_run_name=run_name, persist_result=False)
def monitor(
    as_of: datetime | None = None,
    known_at: datetime | None = None,
    views: list[View] | None = None,
    settings: MonitorSettings | None = None,
) -> MonitorResult:
    """Monitor data quality, drift, skew and performance of the models in the window that ends at as_of.

    A window before the latest monitored window is measured and published under other keys (monitor-VIEW-past), without
    events and alerts.

    Args:
        as_of: End of the window, not in the future; now when left out.
        known_at: Use only data that had arrived by then; all data when left out.
        views: Views to run, of data (quality), drift, skew, outcome (performance) and spend; all when left out.
        settings: Windows and thresholds.
    """
    from holdfast.monitoring.window import is_past_window, select_window

    state, rules, views = configure(), settings or MonitorSettings(), views or list(get_args(View))
    window = select_window(state, as_of, known_at, rules.window_days, run_time())
    past = tuple(view for view in views if is_past_window(state, view, window.as_of, run_time()))
    results: dict[View, ViewResult] = {}
    failed: dict[View, Exception] = {}
    for view in views:
        try:  # a failed view must not hide the others
            results[view] = _run(state, window, rules, view, view in past)
        except Exception as error:
            failed[view] = error
    _log(results, past)
    if failed:
        errors = "; ".join(f"{view}: {type(error).__name__}: {error}" for view, error in failed.items())
        first = next(iter(failed.values()))
        raise MonitorError(f"Failed views ({len(failed)} of {len(failed) + len(results)}): {errors}") from first
    findings = tuple(finding for result in results.values() for finding in result.findings)
    empty = tuple(view for view, result in results.items() if result.is_empty)
    return MonitorResult(
        window.as_of, {view: result.summary for view, result in results.items()}, findings, empty, past
    )


def _run(settings: Settings, window: "Window", rules: MonitorSettings, view: View, is_past: bool) -> "ViewResult":
    result = run_view_task(settings, window, rules, view)
    try:
        store_metrics_task(settings, result, window)
        publish_view_task(result, f"{_artifact_key(view)}-past" if is_past else _artifact_key(view))
    finally:  # findings are handled even where metrics and report cannot be stored
        if not is_past:
            handle_findings_task(settings, result, window.as_of)
    if result.report is not None:
        store_report_task(settings, result, window.as_of, rules.keep_reports_days)
    return result


def _log(results: "dict[View, ViewResult]", past: tuple[View, ...]) -> None:
    log = get_run_logger()
    for view, result in results.items():
        log.info("%s: %s", view, result.summary)
        for finding in result.findings:
            log.warning("%s: %s: %s", finding.severity, finding.event, finding.summary)
    if past:
        log.info("%s: window in the past, without events and alerts", ", ".join(past))


def _artifact_key(view: View) -> str:
    return f"monitor-{view}"


if __name__ == "__main__":
    run_flow(monitor)
