"""Checks of every source beside the transactions as a whole: rows that stopped, quarantine, new parts, delays."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.ingestion.kinds import KindName
from holdfast.monitoring.data_quality.checks import check_quarantine
from holdfast.monitoring.data_quality.queries import Arrivals, DailyCounts, find_arrivals
from holdfast.monitoring.data_quality.source_flows import PARTS, SourceFlow, find_parts, part_subject
from holdfast.monitoring.data_quality.volume_forecast import forecast_volume
from holdfast.monitoring.findings import Finding, Severity
from holdfast.monitoring.hypothesis_tests import HypothesisTest
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.result import CheckResult
from holdfast.monitoring.settings import DataQualityRules
from holdfast.monitoring.window import Window

_HOUR, _WEEK_DAYS = timedelta(hours=1), 7


@dataclass(frozen=True)
class SourceChecks:
    """Tests of the sources, and metrics, findings and notes that need no test.

    Attributes:
        evaluated: Subjects without a test for which it was decided whether they have a finding.
    """

    tests: list[HypothesisTest] = field(default_factory=list)
    limited: CheckResult = field(default_factory=CheckResult)
    evaluated: set[str] = field(default_factory=set)


def check_sources(
    settings: Settings, window: Window, sales: DailyCounts, flows: Sequence[SourceFlow], rules: DataQualityRules
) -> SourceChecks:
    """Check the volume of each flow, and the arrivals of attributes and events.

    Args:
        settings: Settings with the batches' folder.
        window: Monitoring window.
        sales: Transactions by day, which are tested as a whole elsewhere.
        flows: Flows of all kinds.
        rules: Limits.

    Returns:
        Tests to correct together with those of the transactions, and further results.
    """
    selected = _select_flows(sales, flows, rules)
    checks = SourceChecks([test for flow in selected for test in check_flow(flow, window, rules)])
    checks.limited.metrics.extend(
        MetricRow("age_hours", flow.subject, (window.as_of - flow.days.newest) / _HOUR, int(flow.days.counts.sum()))
        for flow in flows
    )
    tested = {test.row.subject for test in checks.tests}
    checks.evaluated.update(flow.subject for flow in flows if flow.part is None and not flow.days.empty)
    checks.limited.metrics.extend(
        MetricRow("rows", flow.subject, flow.days.rows, flow.days.rows) for flow in flows if flow.subject not in tested
    )
    for kind in PARTS:
        now, before = find_arrivals(settings, window, kind)
        if kind != "transactions":
            checks.tests.extend(check_quarantine(now, before, rules, kind))
        _check_new_parts(settings, kind, now, before, checks, rules)
    return checks


def check_flow(flow: SourceFlow, window: Window, rules: DataQualityRules) -> list[HypothesisTest]:
    """Test whether a flow has stopped or has fewer rows than usual.

    More rows than usual are no problem of a flow: an attribute may be loaded again, and a mail is sent to everybody.
    For the same reason the largest day of each weekday is no expectation.

    Args:
        flow: Rows by day of a source.
        window: Monitoring window.
        rules: Limits.

    Returns:
        One test; none with too little history.
    """
    days, empty = flow.days, flow.days.empty
    expected = forecast_volume(
        days.counts, empty or [days.day], rules.weeks, rules.min_days + _WEEK_DAYS, limit_largest=True
    )
    if expected is None:
        return []
    low, high = expected.interval(0.95)
    age = (window.as_of - days.newest) / _HOUR
    if empty:
        since = f"{empty[0]:%Y-%m-%d}" + (f" to {empty[-1]:%Y-%m-%d}" if len(empty) > 1 else "")
        text = f"No {flow.noun} of {since} arrived, {expected.mean:.0f} are expected"
    else:
        text = f"{days.rows:,} rows on {days.day:%A, %Y-%m-%d} ({flow.noun}), {low:.0f} to {high:.0f} are expected"
    text += f"; the newest is {age:.0f} hours old, of {flow.file}."
    severity: Severity = "critical" if empty and age > rules.max_age_hours else "warning"
    payload = {"expected": expected.mean, "rows": days.rows, "age_hours": age, "file": flow.file, "day": f"{days.day}"}
    finding = Finding(
        event="holdfast.data.late", severity=severity, subject=flow.subject, summary=text, payload=payload
    )
    table_row = {
        "what": f"rows of {flow.subject} on {days.day:%a %Y-%m-%d}",
        "now": f"{days.rows:,}",
        "before": f"{expected.mean:.0f} ({low:.0f}–{high:.0f})",
    }
    row = MetricRow("rows", flow.subject, days.rows, days.rows, low=low, high=high)
    return [HypothesisTest(row, expected.p_value_of_fewer(0 if empty else days.rows), True, finding, table_row)]


def _select_flows(sales: DailyCounts, flows: Sequence[SourceFlow], rules: DataQualityRules) -> list[SourceFlow]:
    """Select the flows to test: a table that has stopped as a whole, or else each of its parts."""
    stopped = {flow.kind for flow in flows if flow.part is None and flow.days.empty}
    stopped |= {"transactions"} if sales.empty else set()
    tested = [flow for flow in flows if (flow.part is None) == (flow.kind in stopped)]
    return [flow for flow in tested if flow.subject not in rules.ended]


def _check_new_parts(
    settings: Settings, kind: KindName, now: Arrivals, before: Arrivals, checks: SourceChecks, rules: DataQualityRules
) -> None:
    """Report parts that a known mapping gives for the first time: a name that was changed, or a new one.

    A part of a new mapping was added on purpose, and is noted.
    """
    known = find_parts(settings, before.batches)
    arrived = find_parts(settings, now.batches)
    checks.evaluated.update(f"{part_subject(kind, part)}.new" for part in known | arrived)
    if before.rows < rules.min_rows:
        return
    mappings = {batch.mapping_sha256 for batch in before.batches}
    for part, batch in arrived.items():
        if part in known:
            continue
        text = (
            f"New {PARTS[kind]} {part!r} in {batch.source}: no feature reads it by this name. If a name was changed, "
            f"the rows with the earlier name have stopped. Known: {', '.join(map(repr, known)) or 'none'}."
        )
        if batch.mapping_sha256 not in mappings:
            checks.limited.notes.append(f"New {PARTS[kind]} {part!r} in {batch.source}, by a new column mapping.")
            continue
        payload = {"part": part, "file": batch.source, "known": sorted(known)}
        subject = f"{part_subject(kind, part)}.new"
        checks.limited.findings.append(
            Finding(event="holdfast.data.broken", severity="warning", subject=subject, summary=text, payload=payload)
        )
        checks.limited.metrics.append(MetricRow("new_parts", subject, 1, batch.rows_added, breached=True))


def describe_flows(flows: Sequence[SourceFlow]) -> str:
    """Describe the rows of the checked day of each flow.

    Args:
        flows: Flows of all kinds.

    Returns:
        Part of a sentence; empty without a flow.
    """
    parts = [f"{flow.subject} {format_count(flow.days.rows, 'row')}" for flow in flows if flow.part is not None]
    return ", ".join(parts[:10]) + (f" and {len(parts) - 10} more" if len(parts) > 10 else "")
