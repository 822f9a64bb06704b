"""What one view of monitoring gives."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from holdfast.monitoring.findings import Finding, View
from holdfast.monitoring.metrics_store import MetricRow

if TYPE_CHECKING:
    from evidently import Report
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ViewResult:
    """Measurements, a table and a picture for people, and what was found wrong.

    ``summary`` is one sentence; ``table`` the rows a person reads in the Prefect UI; ``report`` Evidently's, or
    what makes it, which takes seconds; None where there was too little to report on (``summary`` says so). ``judged``
    are the subjects of which it can tell whether anything is wrong, None being all: of others an alert stays open.
    """

    view: View
    summary: str
    metrics: Sequence[MetricRow]
    table: Sequence[dict[str, Any]]
    plot: "Figure"
    findings: Sequence[Finding] = ()
    report: "Callable[[], Report | Any | None] | Report | Any | None" = None
    notes: Sequence[str] = field(default_factory=tuple)
    evaluated_subjects: Collection[str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to look at: no measurement rests on a row, and nothing was found."""
        return not self.findings and not any(row.rows for row in self.metrics)

    def is_evaluated(self, key: str) -> bool:
        """Whether it can tell if the trouble of this key (``EVENT:SUBJECT``) is over."""
        return self.evaluated_subjects is None or key.partition(":")[2] in self.evaluated_subjects
