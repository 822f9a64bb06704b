"""Hypothesis tests of the data quality view: volume, quarantined rows, returns and distributions of a day."""

import re
from collections import Counter
from datetime import timedelta
from typing import Any

from scipy import stats

from holdfast.core.formatting import format_count
from holdfast.ingestion.kinds import KindName
from holdfast.monitoring.data_quality.queries import VALUES, Arrivals, DailyCounts, TransactionSample
from holdfast.monitoring.data_quality.volume_forecast import forecast_volume
from holdfast.monitoring.findings import EventName, Finding, Severity
from holdfast.monitoring.hypothesis_tests import HypothesisTest, fisher_exact_greater
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.settings import DataQualityRules
from holdfast.monitoring.window import Window

ALL = "transactions"
_MISSING = re.compile(r"^(\w+) is (?:missing|null)$")


def check_volume(days: DailyCounts, window: Window, rules: DataQualityRules) -> list[HypothesisTest]:
    """Test the number of rows of the checked day; if it has none, of all days since the last one with rows.

    Args:
        days: Rows by day.
        window: Monitoring window.
        rules: Limits.

    Returns:
        One test; none with too little history.
    """
    missing = days.empty
    expected = forecast_volume(days.counts, missing or [days.day], rules.weeks, rules.min_days)
    if expected is None:
        return []
    low, high = expected.interval(0.95)
    payload = {"expected": expected.mean, "expected_low": low, "expected_high": high, "day": f"{days.day}"}
    row = MetricRow("rows", ALL, days.rows, days.rows, low=low, high=high)
    table_row = _table_row(
        f"rows on {days.day:%a %Y-%m-%d}", f"{days.rows:,}", f"{expected.mean:.0f} ({low:.0f}–{high:.0f})"
    )
    if missing:
        age = (window.as_of - days.newest) / timedelta(hours=1)
        severity: Severity = "critical" if age > rules.max_age_hours else "warning"
        since = f"{missing[0]:%Y-%m-%d}" + (f" to {missing[-1]:%Y-%m-%d}" if len(missing) > 1 else "")
        text = (
            f"No transaction of {since} arrived, {expected.mean:.0f} are expected; the newest is {age:.0f} hours old."
        )
        finding = _finding("holdfast.data.late", severity, ALL, text, payload | {"rows": 0, "age_hours": age})
    else:
        is_low = days.rows < expected.mean
        event: EventName = "holdfast.data.late" if is_low else "holdfast.data.broken"
        hint = "some may not have arrived" if is_low else "some may be duplicates"
        text = (
            f"{format_count(days.rows, 'transaction')} of {days.day:%A, %Y-%m-%d}, {expected.mean:.0f} ({low:.0f} to "
            f"{high:.0f}) are expected: {hint}."
        )
        finding = _finding(event, "warning", ALL, text, payload | {"rows": days.rows})
    return [HypothesisTest(row, expected.p_value(0 if missing else days.rows), True, finding, table_row)]


def check_quarantine(
    now: Arrivals, before: Arrivals, rules: DataQualityRules, kind: KindName = "transactions"
) -> list[HypothesisTest]:
    """Test the share of quarantined rows, by reason, against all earlier batches.

    Args:
        now: Batches of the window.
        before: Earlier batches.
        rules: Limits.
        kind: Kind of source; subjects name it, except for transactions.

    Returns:
        One test per reason; none with too few rows.
    """
    if now.rows < rules.min_rows or before.rows < rules.min_rows:
        return []
    checks = []
    # Reasons of earlier batches are tested, too: else the number of tests would depend on the tested rows.
    for reason in sorted({*now.reasons, *before.reasons}):
        count = now.reasons[reason]
        share, share_before = count / now.rows, before.reasons[reason] / before.rows
        of_kind, subject = ("", reason) if kind == ALL else (f" of {kind}", f"{kind}: {reason}")
        text = (
            f"Quarantined: {count:,} of {format_count(now.rows, 'new row')}{of_kind} ({share:.0%}, before: "
            f"{share_before:.1%}): {reason}."
        )
        payload = {"reason": reason, "rows": count, "share": share, "share_before": share_before}
        severity: Severity = "critical" if share >= 0.2 else "warning"
        checks.append(
            HypothesisTest(
                MetricRow("refused_share", subject, share, now.rows),
                fisher_exact_greater(count, now.rows, before.reasons[reason], before.rows),
                share - share_before >= rules.min_share,
                _finding("holdfast.data.broken", severity, subject, text, payload),
                _table_row(f"quarantined: {subject}", f"{share:.1%}", f"{share_before:.1%}"),
            )
        )
    return checks


def missing_value_rows(now: Arrivals) -> list[MetricRow]:
    """Compute the share of new rows in which a column has no value.

    Such rows are quarantined, so they are tested by ``check_quarantine``.

    Args:
        now: Batches of the window.

    Returns:
        One metric row per column with missing values.
    """
    counts: Counter[str] = Counter()
    for reason, count in now.reasons.items():
        if match := _MISSING.match(reason):
            counts[match[1]] += count
    return [MetricRow("missing_share", name, count / now.rows, now.rows) for name, count in counts.items()]


def check_returns(now: TransactionSample, before: TransactionSample, rules: DataQualityRules) -> list[HypothesisTest]:
    """Test the share of returns in both directions; an upstream change of sign would change the share.

    Args:
        now: Sample of the checked day.
        before: Sample of the weeks before.
        rules: Limits.

    Returns:
        One test; none with too few rows.
    """
    if now.rows < rules.min_rows or before.rows < rules.min_rows:
        return []
    share, share_before = now.returns / now.rows, before.returns / before.rows
    increase = fisher_exact_greater(now.returns, now.rows, before.returns, before.rows)
    decrease = fisher_exact_greater(now.rows - now.returns, now.rows, before.rows - before.returns, before.rows)
    text = (
        f"Returns are {share:.1%} of the day's {format_count(now.rows, 'transaction')}; in the weeks before, they were "
        f"{share_before:.1%}."
    )
    return [
        HypothesisTest(
            MetricRow("return_share", f"{ALL}.returns", share, now.rows),
            min(1.0, 2 * min(increase, decrease)),
            abs(share - share_before) >= rules.min_share,
            _finding(
                "holdfast.data.broken", "warning", f"{ALL}.returns", text,
                {"share": share, "share_before": share_before, "rows": now.rows},
            ),
            _table_row("share of returns", f"{share:.1%}", f"{share_before:.1%}"),
        )
    ]  # fmt: skip


def check_values(now: TransactionSample, before: TransactionSample, rules: DataQualityRules) -> list[HypothesisTest]:
    """Test the distributions of amounts, unit prices and quantities against the weeks before.

    A change of prices is clearest in the unit price, but is reported with the amount as subject. Unlike a rank test,
    the Kolmogorov-Smirnov test detects changes of the spread and values that become constant. On tied values such as
    prices the test is conservative (Noether, *Note on the Kolmogorov statistic in the discrete case*, 1963).

    Args:
        now: Sample of the checked day.
        before: Sample of the weeks before.
        rules: Limits.

    Returns:
        One test per measure, only of the amount if all quantities are 1; none with too few rows.
    """
    if len(now.values) < rules.min_rows or len(before.values) < rules.min_rows:
        return []
    checks = []
    all_single = (now.values["quantity"] == 1).all() and (before.values["quantity"] == 1).all()
    for name in ("amount",) if all_single else VALUES:
        values, values_before = now.values[name], before.values[name]
        test = stats.ks_2samp(values, values_before, method="asymp")
        distance, p_value = float(test.statistic), float(test.pvalue)
        median, median_before = float(values.median()), float(values_before.median())
        text = (
            f"The {name} of the day's {format_count(len(values), 'purchase')} has another distribution than in the "
            f"weeks before: median {median:.2f}, before {median_before:.2f}; distance {distance:.2f}."
        )
        payload = {"measure": name, "distance": distance, "median": median, "median_before": median_before}
        payload |= {"p_value": p_value, "rows": len(values)}
        checks.append(
            HypothesisTest(
                MetricRow("shift", f"{ALL}.{name}", distance, len(values), limit=rules.min_shift),
                p_value,
                distance >= rules.min_shift,
                _finding("holdfast.drift.detected", "warning", finding_subject(name), text, payload),
                _table_row(f"{name}, median", f"{median:.2f}", f"{median_before:.2f}"),
            )
        )
    return checks


def finding_subject(measure: str) -> str:
    """Return the subject of a finding about a measure.

    Args:
        measure: One of ``VALUES``.

    Returns:
        The subject; that of the amount for the price.
    """
    return f"{ALL}.{'amount' if measure == 'price' else measure}"


def _table_row(measure: str, now: str, before: str) -> dict[str, str]:
    return {"what": measure, "now": now, "before": before}


def _finding(event: EventName, severity: Severity, subject: str, text: str, payload: dict[str, Any]) -> Finding:
    return Finding(event=event, severity=severity, subject=subject, summary=text, payload=payload)
