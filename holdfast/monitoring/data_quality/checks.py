"""What may be wrong with the transactions of a day, each as a test that the data view then judges together."""

import re
from collections import Counter
from datetime import timedelta
from typing import Any

from holdfast.monitoring.data_quality.queries import VALUES, Arrivals, DailyCounts, TransactionSample
from holdfast.monitoring.data_quality.volume_forecast import forecast_volume
from holdfast.monitoring.findings import EventName, Finding, Severity
from holdfast.monitoring.hypothesis_tests import HypothesisTest, ks_test, more_often
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.settings import DataRules
from holdfast.monitoring.window import Window

ALL = "transactions"
_MISSING = re.compile(r"^(\w+) is (?:missing|null)$")


def check_volume(days: DailyCounts, window: Window, rules: DataRules) -> list[HypothesisTest]:
    """The rows of the day; or, of a day without any, all days since the last one that had some."""
    missing = days.empty
    judged = missing or [days.day]
    expected = forecast_volume(days.counts, judged, rules.weeks, rules.min_days)
    if expected is None:
        return []
    low, high = expected.interval(0.95)
    about = {"expected": expected.mean, "expected_low": low, "expected_high": high, "day": f"{days.day}"}
    row = MetricRow("rows", ALL, days.rows, days.rows, low=low, high=high)
    shown = _shown(f"rows on {days.day:%a %Y-%m-%d}", f"{days.rows:,}", f"{expected.mean:.0f} ({low:.0f}–{high:.0f})")
    few = days.rows < expected.mean
    if missing:
        age = (window.as_of - days.newest) / timedelta(hours=1)
        severity: Severity = "critical" if age > rules.max_age_hours else "warning"
        since = f"{missing[0]:%Y-%m-%d}" + (f" to {missing[-1]:%Y-%m-%d}" if len(missing) > 1 else "")
        text = f"No transaction of {since} arrived, of {expected.mean:.0f} expected; the newest is {age:.0f} hours old."
        finding = _finding("holdfast.data.late", severity, ALL, text, about | {"rows": 0, "age_hours": age})
    else:
        usual = f"{expected.mean:.0f} ({low:.0f} to {high:.0f})"
        text = f"{days.rows:,} transactions of {days.day:%A, %Y-%m-%d} against {usual} expected"
        event: EventName = "holdfast.data.late" if few else "holdfast.data.broken"
        hint = "part of them may not have arrived" if few else "some may be there twice"
        finding = _finding(event, "warning", ALL, f"{text}: {hint}.", about | {"rows": days.rows})
    return [HypothesisTest(row, expected.p_value(0 if missing else days.rows), True, finding, shown)]


def check_quarantine(now: Arrivals, before: Arrivals, rules: DataRules) -> list[HypothesisTest]:
    """Rows that broke the contract, by reason, against all batches before."""
    if now.rows < rules.min_rows or before.rows < rules.min_rows:
        return []
    checks = []
    for reason in sorted({*now.reasons, *before.reasons}):  # also what did not occur: how many are tested is no chance
        count = now.reasons[reason]
        share, share_before = count / now.rows, before.reasons[reason] / before.rows
        text = (
            f"{count:,} of {now.rows:,} new rows ({share:.0%}) were refused: {reason}; before, {share_before:.1%} were."
        )
        payload = {"reason": reason, "rows": count, "share": share, "share_before": share_before}
        severity: Severity = "critical" if share >= 0.2 else "warning"
        checks.append(
            HypothesisTest(
                MetricRow("refused_share", reason, share, now.rows),
                more_often(count, now.rows, before.reasons[reason], before.rows),
                share - share_before >= rules.min_share,
                _finding("holdfast.data.broken", severity, reason, text, payload),
                _shown(f"refused: {reason}", f"{share:.1%}", f"{share_before:.1%}"),
            )
        )
    return checks


def missing_value_rows(now: Arrivals) -> list[MetricRow]:
    """The share of new rows in which a column has no value. Such rows are refused: the test is that of refusals."""
    counts: Counter[str] = Counter()
    for reason, count in now.reasons.items():
        if found := _MISSING.match(reason):
            counts[found[1]] += count
    return [MetricRow("missing_share", name, count / now.rows, now.rows) for name, count in counts.items()]


def check_returns(now: TransactionSample, before: TransactionSample, rules: DataRules) -> list[HypothesisTest]:
    """The share of returns, which an upstream change of sign would show in."""
    if now.rows < rules.min_rows or before.rows < rules.min_rows:
        return []
    share, share_before = now.returns / now.rows, before.returns / before.rows
    rare = [now.returns, now.rows, before.returns, before.rows]
    often = [now.rows - now.returns, now.rows, before.rows - before.returns, before.rows]
    text = (
        f"{share:.1%} of the day's {now.rows:,} transactions are returns; of the weeks before, {share_before:.1%} were."
    )
    return [
        HypothesisTest(
            MetricRow("return_share", f"{ALL}.returns", share, now.rows),
            min(1.0, 2 * min(more_often(*rare), more_often(*often))),
            abs(share - share_before) >= rules.min_share,
            _finding(
                "holdfast.data.broken", "warning", f"{ALL}.returns", text,
                {"share": share, "share_before": share_before, "rows": now.rows},
            ),
            _shown("share of returns", f"{share:.1%}", f"{share_before:.1%}"),
        )
    ]  # fmt: skip


def check_values(now: TransactionSample, before: TransactionSample, rules: DataRules) -> list[HypothesisTest]:
    """Amounts, prices and quantities of the day's purchases against those of the weeks before.

    A change of prices shows best in the price of a piece; the trouble is one of amounts all the same.
    """
    if len(now.values) < rules.min_rows or len(before.values) < rules.min_rows:
        return []
    checks = []
    pieces = (now.values["quantity"] == 1).all() and (before.values["quantity"] == 1).all()
    for name in ("amount",) if pieces else VALUES:
        found = ks_test(now.values[name].to_numpy(), before.values[name].to_numpy())
        text = (
            f"The {name} of the day's {len(now.values):,} purchases is of another distribution than in the weeks "
            f"before: median {found.median:.2f} after {found.median_before:.2f}, distance {found.distance:.2f}."
        )
        payload = {"measure": name, "distance": found.distance, "median": found.median}
        payload |= {"median_before": found.median_before, "p_value": found.p_value, "rows": len(now.values)}
        checks.append(
            HypothesisTest(
                MetricRow("shift", f"{ALL}.{name}", found.distance, len(now.values), limit=rules.min_shift),
                found.p_value,
                found.distance >= rules.min_shift,
                _finding("holdfast.drift.detected", "warning", finding_subject(name), text, payload),
                _shown(f"{name}, median", f"{found.median:.2f}", f"{found.median_before:.2f}"),
            )
        )
    return checks


def finding_subject(measure: str) -> str:
    """What a finding about one of ``VALUES`` is about: a change of prices is trouble with amounts."""
    return f"{ALL}.{'amount' if measure == 'price' else measure}"


def _shown(what: str, now: str, before: str) -> dict[str, str]:
    return {"what": what, "now": now, "before": before}


def _finding(event: EventName, severity: Severity, subject: str, text: str, payload: dict[str, Any]) -> Finding:
    return Finding(event=event, severity=severity, subject=subject, summary=text, payload=payload)
