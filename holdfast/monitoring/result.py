"""Results of a monitoring view and of its single checks."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from matplotlib.figure import Figure

from holdfast.core.plot_style import GREEN
from holdfast.monitoring.findings import Finding, View
from holdfast.monitoring.metrics_store import MetricRow


@dataclass(frozen=True)
class CheckResult:
    """Metrics, findings and notes of one check.

    Attributes:
        notes: Sentences for the description of the view's table, for example why the check was skipped.
    """

    metrics: list[MetricRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_limit(row: MetricRow, finding: Finding) -> CheckResult:
    """Compare a metric with its limit.

    Args:
        row: Metric with a limit.
        finding: Finding of a value above the limit.

    Returns:
        The metric, and the finding if the limit is exceeded.
    """
    breached = row.limit is not None and row.value > row.limit
    return CheckResult([replace(row, breached=breached)], [finding] * breached)


@dataclass(frozen=True)
class ViewResult:
    """Metrics, table, plot and findings of one view.

    Attributes:
        summary: One sentence.
        table: Rows for the Prefect UI.
        report: Builds Evidently's report in seconds, or None where the data are too few.
        notes: Sentences for the description of the table.
        evaluated_subjects: Subjects for which the view decided whether they have a finding; None means all subjects.
            An alert about any other subject stays open.
    """

    view: View
    summary: str
    metrics: Sequence[MetricRow]
    table: Sequence[dict[str, Any]]
    plot: Figure
    findings: Sequence[Finding] = ()
    report: Callable[[], Any | None] | None = None
    notes: Sequence[str] = ()
    evaluated_subjects: Collection[str] | None = None

    @property
    def is_empty(self) -> bool:
        """Return True if no metric rests on any row and there is no finding."""
        return not self.findings and not any(row.rows for row in self.metrics)

    def is_evaluated(self, key: str) -> bool:
        """Check whether the view evaluated the subject of a finding, so that its alert may be closed.

        Args:
            key: ``EVENT:SUBJECT``, see ``Finding.key``.

        Returns:
            True if the subject was evaluated.
        """
        return self.evaluated_subjects is None or key.partition(":")[2] in self.evaluated_subjects


def build_empty_result(view: View, metric: str, summary: str, subject: str = "all") -> ViewResult:
    """Build the result of a view without data to compare; no alert is closed by it.

    Args:
        view: Name of the view.
        metric: Metric that counts the compared data; it is recorded as 0.
        summary: One sentence.
        subject: Subject of the metric.

    Returns:
        The result.
    """
    rows = [MetricRow(metric, subject, 0.0, 0)]
    return ViewResult(view, summary, rows, [{view: summary}], plot_message(summary), evaluated_subjects=())


def plot_message(text: str) -> Figure:
    """Plot a message instead of data.

    Args:
        text: The message.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(9, 1.6), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", wrap=True, fontsize=13, color=GREEN)
    return figure
