"""The tests of the data view: each a measurement, how probable it is by chance, and what is wrong if it is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from holdfast.core.types import Floats
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow


@dataclass(frozen=True)
class HypothesisTest:
    """``matters``: large enough to act on, if it is no chance. ``shown``: its line in the table."""

    row: MetricRow
    p_value: float
    matters: bool
    finding: Finding
    shown: Mapping[str, Any]


def significant_checks(
    checks: Sequence[HypothesisTest], alpha: float
) -> tuple[list[MetricRow], list[Finding], list[dict[str, Any]]]:
    """Rows for the metrics table, findings, one per trouble, and lines for people.

    Several checks may tell of one trouble; the least probable speaks, and all rows of its subject are breached.
    """
    held = holm([check.p_value for check in checks], alpha)
    sure = [check.matters and holds for check, holds in zip(checks, held, strict=True)]
    findings: dict[str, Finding] = {}
    for check in sorted((check for check, is_sure in zip(checks, sure, strict=True) if is_sure), key=_probability):
        findings.setdefault(check.finding.key, check.finding)
    about = {(finding.event, finding.subject) for finding in findings.values()}
    rows, lines = [], []
    for check, is_sure in zip(checks, sure, strict=True):
        breached = is_sure or (check.finding.event, check.row.subject) in about
        rows.append(replace(check.row, breached=breached))
        lines.append({**check.shown, "p-value": f"{check.p_value:.2g}", "state": "wrong" if is_sure else ""})
    return rows, list(findings.values()), lines


def more_often(count: int, rows: int, count_before: int, rows_before: int) -> float:
    """How probable so many of ``rows`` are by chance, where so many were before: Fisher's exact test, one-sided."""
    return float(stats.hypergeom.sf(count - 1, rows + rows_before, count + count_before, rows))


@dataclass(frozen=True)
class KsResult:
    """How far two samples are apart: the largest difference of their distribution functions (Kolmogorov-Smirnov)."""

    distance: float
    p_value: float
    median: float
    median_before: float


def ks_test(current: Floats, before: Floats) -> KsResult:
    """Compare two samples, each of shape (rows,), none empty.

    Unlike a test of ranks it also sees values that spread, or become all the same. On values that repeat, as prices
    do, it is conservative (Noether, *Note on the Kolmogorov statistic in the discrete case*, 1963).
    """
    found = stats.ks_2samp(current, before, method="asymp")
    return KsResult(float(found.statistic), float(found.pvalue), float(np.median(current)), float(np.median(before)))


def _probability(check: HypothesisTest) -> float:
    return check.p_value


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which of the tests hold when all are looked at: at most ``alpha`` is the chance of any false one.

    The smallest p-value is held against alpha / tests, the next against alpha / (tests - 1), and so on up to the first
    that fails (Holm, *A simple sequentially rejective multiple test procedure*, 1979). The tests may depend on each
    other, as the features of one customer do.
    """
    held = [False] * len(p_values)
    for place, number in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[number] > alpha / (len(p_values) - place):
            break
        held[number] = True
    return held
