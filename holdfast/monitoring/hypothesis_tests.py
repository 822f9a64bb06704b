"""Hypothesis tests with Holm-Bonferroni correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

from scipy import stats
from statsmodels.stats.multitest import multipletests

from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.result import CheckResult


@dataclass(frozen=True)
class HypothesisTest:
    """Test of one metric, and the finding if the test is significant.

    Attributes:
        is_material: True if the effect is large enough to act on; small effects are significant in large samples.
        table_row: Row for the Prefect UI.
    """

    row: MetricRow
    p_value: float
    is_material: bool
    finding: Finding
    table_row: Mapping[str, str]


def significant_checks(tests: Sequence[HypothesisTest], alpha: float) -> tuple[CheckResult, list[dict[str, str]]]:
    """Select the tests that are material and significant together, and report each subject once.

    Several tests may have the same finding key: the finding of the smallest p-value is returned, and all metric rows of
    its subject are breached.

    Args:
        tests: Tests of one view.
        alpha: Probability of any false finding.

    Returns:
        Metric rows and findings, and one table row per test.
    """
    rejected = holm([test.p_value for test in tests], alpha)
    failed = [test.is_material and is_rejected for test, is_rejected in zip(tests, rejected, strict=True)]
    findings: dict[str, Finding] = {}
    for test in sorted(compress(tests, failed), key=lambda test: test.p_value):
        findings.setdefault(test.finding.key, test.finding)
    subjects = {(finding.event, finding.subject) for finding in findings.values()}
    rows, table = [], []
    for test, is_failed in zip(tests, failed, strict=True):
        breached = is_failed or (test.finding.event, test.row.subject) in subjects
        rows.append(replace(test.row, breached=breached))
        table.append({**test.table_row, "p-value": f"{test.p_value:.2g}", "state": "wrong" if is_failed else ""})
    return CheckResult(rows, list(findings.values())), table


def fisher_exact_greater(count: int, rows: int, count_before: int, rows_before: int) -> float:
    """Compute the p-value that a share has increased, by Fisher's exact test (one-sided).

    Args:
        count: Rows with the property now.
        rows: All rows now.
        count_before: Rows with the property before.
        rows_before: All rows before.

    Returns:
        The p-value; 1 if no row or every row has the property.
    """
    table = [[count, rows - count], [count_before, rows_before - count_before]]
    return float(stats.fisher_exact(table, alternative="greater").pvalue)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Select the significant tests by the Holm-Bonferroni correction.

    The probability of any false rejection is at most ``alpha`` (Holm, *A simple sequentially rejective multiple test
    procedure*, 1979). The tests may depend on each other, as the features of one customer do. Each call runs a full
    garbage collection inside statsmodels (about 0.4 s in the process of a flow), so call it once per view.

    Args:
        p_values: P-value of each test; may be empty.
        alpha: Probability of any false rejection.

    Returns:
        True for each significant test.
    """
    rejected: list[bool] = multipletests(p_values, alpha, method="holm")[0].tolist()
    return rejected
