"""Data quality view: transactions of the last day and arrivals of the window, compared with the weeks before."""

from datetime import timedelta
from functools import partial
from typing import Any

from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.ingestion.kinds import KindName
from holdfast.monitoring.data_quality.checks import (
    ALL,
    check_quarantine,
    check_returns,
    check_values,
    check_volume,
    finding_subject,
    missing_value_rows,
)
from holdfast.monitoring.data_quality.plot import plot_data_quality
from holdfast.monitoring.data_quality.queries import (
    DAYS_BEFORE,
    VALUES,
    Arrivals,
    DailyCounts,
    count_rows_by_day,
    find_arrivals,
    measure_lateness,
    sample_transactions,
)
from holdfast.monitoring.data_quality.source_checks import check_sources, describe_flows
from holdfast.monitoring.data_quality.source_flows import list_flows
from holdfast.monitoring.evidently_workspace import build_drift_report
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.freshness import check_batch_scores, check_champions, check_online_store
from holdfast.monitoring.hypothesis_tests import HypothesisTest, significant_checks
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.result import CheckResult, ViewResult, build_empty_result, check_limit
from holdfast.monitoring.settings import DataQualityRules, MonitorSettings
from holdfast.monitoring.training_duration import check_training_duration
from holdfast.monitoring.window import Window

_HOUR = timedelta(hours=1)


def run_data_quality_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """Check volume, lateness, quarantined rows, missing values, returns, amounts, freshness and training duration.

    All hypothesis tests are corrected together: without any problem, a share of ``alpha`` of the runs has a finding.

    Args:
        settings: Settings with the data folder.
        window: Monitoring window.
        rules: Limits.

    Returns:
        The result of the view.
    """
    days = count_rows_by_day(settings, window, rules.data.due_hours)
    if days is None:
        return build_empty_result("data", "rows", "There are no transactions to check.", ALL)
    now, before = find_arrivals(settings, window)
    day = sample_transactions(settings, window, days.day, 1)
    earlier = sample_transactions(settings, window, days.day - timedelta(days=DAYS_BEFORE), DAYS_BEFORE)
    flows = list_flows(settings, window, days.day, rules.data.weeks)
    sources = check_sources(settings, window, days, flows, rules.data)
    tests = [
        *check_volume(days, window, rules.data),
        *check_quarantine(now, before, rules.data),
        *check_returns(day, earlier, rules.data),
        *check_values(day, earlier, rules.data),
        *sources.tests,
    ]
    tested, table = significant_checks(tests, rules.data.alpha)
    limit_checks = [
        sources.limited,
        _check_lateness(settings, now, before, rules.data),
        _check_lateness(settings, *find_arrivals(settings, window, "events"), rules.data, "events"),
        check_online_store(settings, window),
        check_batch_scores(settings, window, rules.data),
        check_champions(settings, window, rules.data),
        check_training_duration(settings, window, rules.data),
    ]
    limited = [row for check in limit_checks for row in check.metrics]
    metrics = [*tested.metrics, *_unchecked_rows(days, now, window, tests), *limited]
    findings = [*tested.findings, *(finding for check in limit_checks for finding in check.findings)]
    has_report = min(len(day.values), len(earlier.values)) >= rules.data.min_rows
    return ViewResult(
        view="data",
        summary=_summarize(days, now, tests, findings, rules.data, describe_flows(flows)),
        metrics=metrics,
        table=table + _limit_table(metrics),
        plot=plot_data_quality(days, day, earlier, rules.data),
        findings=[_with_window(finding, window) for finding in findings],
        report=partial(build_drift_report, day.values, earlier.values) if has_report else None,
        notes=[note for check in limit_checks for note in check.notes] + _new_mapping_notes(now, before),
        evaluated_subjects=_tested_subjects(tests) | _limited_subjects(limit_checks[1:]) | sources.evaluated,
    )


def _tested_subjects(tests: list[HypothesisTest]) -> set[str]:
    """Return the tested subjects; a test of the amount alone (all quantities are 1) covers all measures."""
    subjects = {test.finding.subject for test in tests}
    measures = {finding_subject(name) for name in VALUES}
    return subjects | (measures if subjects & measures else set())


def _limited_subjects(checks: list[CheckResult]) -> set[str]:
    return {row.subject for check in checks for row in check.metrics}


def _unchecked_rows(days: DailyCounts, now: Arrivals, window: Window, tests: list[HypothesisTest]) -> list[MetricRow]:
    """Build the metric rows that have no limit, or too little data for a test."""
    rows = [MetricRow("age_hours", ALL, (window.as_of - days.newest) / _HOUR, days.rows)]
    if not _is_volume_tested(tests):
        rows.append(MetricRow("rows", ALL, days.rows, days.rows))
    if now.rows:
        rows.append(MetricRow("refused_share", ALL, now.quarantined / now.rows, now.rows))
    return rows + missing_value_rows(now)


def _check_lateness(
    settings: Settings, now: Arrivals, before: Arrivals, rules: DataQualityRules, kind: KindName = "transactions"
) -> CheckResult:
    """Check the share of rows that arrived late. The first batch is a history and is not late."""
    added, late, median = measure_lateness(settings, now, rules.max_delay_hours, kind)
    if not added or not before.batches:
        return CheckResult()
    share, subject = late / added, f"{kind}.delay"
    summary = (
        f"{late:,} of {format_count(added, kind.removesuffix('s'))} that arrived ({share:.0%}) were more than "
        f"{rules.max_delay_hours:g} hours late, the median was {median:.0f}. Features served before their arrival were "
        "computed without them."
    )
    payload: dict[str, Any] = {"late": late, "rows": added, "share": share, "median_hours": median}
    finding = Finding(event="holdfast.data.late", severity="warning", subject=subject, summary=summary, payload=payload)
    result = check_limit(MetricRow("late_share", subject, share, added, limit=rules.max_late_share), finding)
    result.metrics.append(MetricRow("delay_hours", subject, median, added))
    return result


def _is_volume_tested(tests: list[HypothesisTest]) -> bool:
    return any((test.row.metric, test.row.subject) == ("rows", ALL) for test in tests)


def _summarize(
    days: DailyCounts,
    now: Arrivals,
    tests: list[HypothesisTest],
    findings: list[Finding],
    rules: DataQualityRules,
    flows: str,
) -> str:
    arrived = _count(len(now.batches), "batch", "es")
    parts = [
        f"{format_count(days.rows, 'transaction')} on {days.day:%A, %Y-%m-%d}",
        *([flows] if flows else []),
        f"{arrived} arrived, {now.quarantined:,} of {format_count(now.rows, 'new row')} quarantined",
    ]
    if not _is_volume_tested(tests):
        parts.append(f"less than {format_count(rules.min_days, 'day')} of history: volume is not checked")
    parts.append(_count(len(findings), "finding", "s") if findings else "no finding")
    return "; ".join(parts) + "."


def _count(number: int, noun: str, plural: str) -> str:
    return f"{number} {noun}{plural if number != 1 else ''}"


def _limit_table(rows: list[MetricRow]) -> list[dict[str, str]]:
    """Build the table rows of metrics with a limit instead of a test."""
    names = {
        "age_hours": "age of the newest, hours",
        "age_days": "age, days",
        "training_cpu_seconds": "CPU time of its training, seconds",
        "late_share": "share that arrived late",
    }
    return [
        {
            "what": f"{row.subject}: {names[row.metric]}",
            "now": f"{row.value:.2f}" if row.metric == "late_share" else f"{row.value:.0f}",
            "before": "" if row.limit is None else f"limit {row.limit:g}",
            "p-value": "",
            "state": "wrong" if row.breached else "",
        }
        for row in rows
        if row.metric in names
    ]


def _new_mapping_notes(now: Arrivals, before: Arrivals) -> list[str]:
    """List the batches with a new column mapping: such a file may hold other columns, but is no problem by itself."""
    known = {batch.mapping_sha256 for batch in before.batches}
    new = [batch for batch in now.batches if known and batch.mapping_sha256 not in known]
    return [f"{batch.source} was read with a new column mapping." for batch in new]


def _with_window(finding: Finding, window: Window) -> Finding:
    times = {"as_of": window.as_of.isoformat(), "window": {"start": window.start.isoformat()}}
    return finding.model_copy(update={"payload": times | finding.payload})
