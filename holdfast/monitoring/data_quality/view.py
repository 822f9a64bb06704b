"""The data view: the transactions of the last day, and what arrived in the window, against the weeks before."""

from datetime import timedelta
from functools import partial
from typing import Any

from feature_repo.settings import Settings
from holdfast.monitoring.data_quality import checks as quality_checks
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
from holdfast.monitoring.evidently_workspace import build_drift_report
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.freshness import check_batch_scores, check_champion, check_online_store
from holdfast.monitoring.hypothesis_tests import HypothesisTest, significant_checks
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.result import ViewResult
from holdfast.monitoring.settings import DataRules, MonitorSettings
from holdfast.monitoring.training_duration import check_training_duration
from holdfast.monitoring.window import Window

_HOUR = timedelta(hours=1)


def run_data_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """Volume, lateness, refused rows, missing values, returns, amounts; whether what is served is of today; and
    whether training takes no longer than it did.

    All tests are judged together, so that a run in which nothing is wrong says so but for one in ``1 / alpha``.
    """
    days = count_rows_by_day(settings, window, rules.data.due_hours)
    if days is None:
        rows = [MetricRow("rows", quality_checks.ALL, 0, 0)]
        summary = "No transaction is known: there is nothing to check."
        plot = plot_data_quality(None, None, None, rules.data)
        return ViewResult("data", summary, rows, [], plot, evaluated_subjects=())
    now, before = find_arrivals(settings, window)
    day = sample_transactions(settings, window, days.day, 1)
    earlier = sample_transactions(settings, window, days.day - timedelta(days=DAYS_BEFORE), DAYS_BEFORE)
    checks = [
        *quality_checks.check_volume(days, window, rules.data),
        *quality_checks.check_quarantine(now, before, rules.data),
        *quality_checks.check_returns(day, earlier, rules.data),
        *quality_checks.check_values(day, earlier, rules.data),
    ]
    measured, found, lines = significant_checks(checks, rules.data.alpha)
    late = _lateness(settings, now, before, rules.data)
    fresh = [
        check_online_store(settings, window),
        check_batch_scores(settings, window, rules.data),
        check_champion(settings, window, rules.data),
        check_training_duration(settings, window, rules.data),
    ]
    measured += [*_plain(days, now, window, checks), *late[0], *(row for part in fresh for row in part[0])]
    findings = [*found, *late[1], *(finding for part in fresh for finding in part[1])]
    enough = min(len(day.values), len(earlier.values)) >= rules.data.min_rows
    return ViewResult(
        view="data",
        summary=_summary(days, now, checks, findings, rules.data),
        metrics=measured,
        table=lines + _lines(measured),
        plot=plot_data_quality(days, day, earlier, rules.data),
        findings=[_at(finding, window) for finding in findings],
        report=partial(build_drift_report, day.values, earlier.values) if enough else None,
        notes=[note for part in fresh for note in part[2]] + _new_mappings(now, before),
        evaluated_subjects=_judged(checks)
        | {row.subject for rows in (late[0], *(part[0] for part in fresh)) for row in rows},
    )


def _judged(checks: list[HypothesisTest]) -> set[str]:
    """What was tested. Where all purchases are of one piece only amounts are: those say it of all measures."""
    values = {quality_checks.finding_subject(name) for name in VALUES}
    subjects = {check.finding.subject for check in checks}
    return subjects | (values if subjects & values else set())


def _plain(days: DailyCounts, now: Arrivals, window: Window, checks: list[HypothesisTest]) -> list[MetricRow]:
    """What is measured whether or not it can be judged."""
    rows = [MetricRow("age_hours", quality_checks.ALL, (window.as_of - days.newest) / _HOUR, days.rows)]
    if not any(check.row.metric == "rows" for check in checks):
        rows.append(MetricRow("rows", quality_checks.ALL, days.rows, days.rows))
    if now.rows:
        rows.append(MetricRow("refused_share", quality_checks.ALL, now.refused / now.rows, now.rows))
    return rows + quality_checks.missing_value_rows(now)


def _lateness(
    settings: Settings, now: Arrivals, before: Arrivals, rules: DataRules
) -> tuple[list[MetricRow], list[Finding]]:
    """Rows that arrived long after their event. The first batch is a history, which is not late."""
    added, late, median = measure_lateness(settings, now, rules.max_delay_hours)
    if not added or not before.batches:
        return [], []
    share, subject = late / added, f"{quality_checks.ALL}.delay"
    breached = share > rules.max_late_share
    rows = [
        MetricRow("late_share", subject, share, added, limit=rules.max_late_share, breached=breached),
        MetricRow("delay_hours", subject, median, added),
    ]
    if not breached:
        return rows, []
    text = (
        f"{late:,} of {added:,} transactions that arrived ({share:.0%}) were more than {rules.max_delay_hours:g} hours "
        f"late, the median was {median:.0f}. Features that were served without them were others."
    )
    payload: dict[str, Any] = {"late": late, "rows": added, "share": share, "median_hours": median}
    return rows, [
        Finding(event="holdfast.data.late", severity="warning", subject=subject, summary=text, payload=payload)
    ]


def _summary(
    days: DailyCounts, now: Arrivals, checks: list[HypothesisTest], findings: list[Finding], rules: DataRules
) -> str:
    told = [f"{days.rows:,} transactions on {days.day:%A, %Y-%m-%d}"]
    told.append(f"{_number(len(now.batches), 'batch', 'es')} arrived, {now.refused:,} of {now.rows:,} new rows refused")
    if not any(check.row.metric == "rows" for check in checks):
        told.append(f"less than {rules.min_days} days of history: volume is not judged")
    told.append(_number(len(findings), "finding", "s") if findings else "nothing is wrong")
    return "; ".join(told) + "."


def _number(count: int, what: str, plural: str) -> str:
    return f"{count} {what}{plural if count != 1 else ''}"


def _lines(rows: list[MetricRow]) -> list[dict[str, Any]]:
    """Measurements that are held against a limit, not tested."""
    names = {
        "age_hours": "age of the newest, hours",
        "age_days": "age, days",
        "training_cpu_seconds": "processor time of its training, seconds",
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


def _new_mappings(now: Arrivals, before: Arrivals) -> list[str]:
    """A file read by another mapping may hold other columns: worth saying, and no trouble by itself."""
    known = {batch.mapping_sha256 for batch in before.batches}
    new = [batch for batch in now.batches if known and batch.mapping_sha256 not in known]
    return [f"{batch.source} was read with a mapping that is new." for batch in new]


def _at(finding: Finding, window: Window) -> Finding:
    moments = {"as_of": window.as_of.isoformat(), "window": {"start": window.start.isoformat()}}
    return finding.model_copy(update={"payload": moments | finding.payload})
