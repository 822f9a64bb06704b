"""Summary of the main job: JSON file and terminal tables."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from holdfast.core.atomic_files import replace_file
from holdfast.core.formatting import format_count
from holdfast.ingestion.batches import Batch
from holdfast.ingestion.kinds import KindName
from holdfast.reporting.flow_results import FeaturesResult, TrainResult
from holdfast.reporting.run_report import REPORT_FILE, SUMMARY_FILE, RunReport
from holdfast.training.evaluation_report import METRIC_LABELS, Evaluation, Interval


class ParityCounts(BaseModel):
    """Comparison of online values with point-in-time values."""

    values_compared: int
    mismatches: int


class RowCounts(BaseModel):
    """Rows of a kind of source."""

    ingested: int
    quarantined: int

    @classmethod
    def of(cls, batches: Sequence[Batch], kind: KindName) -> "RowCounts":
        """Count the rows of a kind.

        Args:
            batches: Batches of all kinds.
            kind: Kind of source.

        Returns:
            The counts.
        """
        of_kind = [batch for batch in batches if batch.kind == kind]
        return cls(
            ingested=sum(batch.rows_added for batch in of_kind),
            quarantined=sum(batch.rows_quarantined for batch in of_kind),
        )


class GateCounts(BaseModel):
    """Number of passed gates, and names of failed gates."""

    passed: int
    failed: list[str]


class RefusedVersion(BaseModel):
    """Version of this run that failed gates, and the page with the reasons."""

    version: str | None
    failed: list[str]
    page: str

    @classmethod
    def of(cls, report: RunReport, page: Path) -> "RefusedVersion":
        """Summarize the report about a version.

        Args:
            report: Report of the run.
            page: File of the report.

        Returns:
            The version.
        """
        return cls(version=report.version, failed=report.failed, page=str(page))


class RunSummary(BaseModel):
    """Results of the main job, as in ``run-summary.json``. All figures are those of the served version.

    Attributes:
        refused: Version of this run that failed gates; None if the only version of the run is served.
        further_rows: Rows of the other kinds of source that the data folder has.
        warnings: Findings about the served version that fail no gate.
        history_notes: Gaps in the data, and rows outside the flow of rows, at the training of the served version.
        horizon_advice: Advice where the horizon fits the gaps between purchases badly, else empty.
    """

    model_config = {"protected_namespaces": ()}

    outcome: Literal["served"] = "served"
    as_of: datetime
    transactions_ingested: int
    transactions_quarantined: int
    further_rows: dict[KindName, RowCounts] = {}
    customers: int
    feature_views: list[str]
    training_rows: int
    test_rows: int
    model_name: str
    model_version: str
    chosen: str
    reason: str
    calibration: str
    threshold: float
    metrics: dict[str, float]
    intervals: dict[str, Interval]
    baselines: dict[str, dict[str, float]]
    gates: GateCounts
    champion: str
    refused: RefusedVersion | None = None
    warnings: list[str] = []
    history_notes: list[str] = []
    horizon_advice: str = ""
    parity: ParityCounts
    bento: str
    prediction: dict[str, Any]
    seconds: dict[str, float]

    @classmethod
    def from_results(
        cls, batches: Sequence[Batch], built: FeaturesResult, trained: TrainResult, **served: Any
    ) -> "RunSummary":
        """Summarize the stages.

        Args:
            batches: All batches of the data folder.
            built: Result of the features.
            trained: Result of the training of the served version, in this run or an earlier one.
            served: Fields about this run: champion, bento, prediction, seconds of each stage, refused, horizon_advice.

        Returns:
            The summary.
        """
        evaluation, parity, gates = trained.evaluation, built.current.parity, trained.gates
        assert isinstance(evaluation, Evaluation)  # of the churn model
        values = {
            name: {metric: interval.value for metric, interval in intervals.items()}
            for name, intervals in evaluation.metrics.items()
        }
        sales, further = RowCounts.of(batches, "transactions"), {batch.kind for batch in batches} - {"transactions"}
        return cls(
            as_of=built.as_of,
            transactions_ingested=sales.ingested,
            transactions_quarantined=sales.quarantined,
            further_rows={kind: RowCounts.of(batches, kind) for kind in sorted(further)},
            customers=parity.customers,
            feature_views=built.current.feature_views,
            training_rows=trained.training_rows,
            test_rows=evaluation.rows,
            model_name=trained.model_name,
            model_version=trained.model_version,
            chosen=evaluation.chosen,
            reason=evaluation.reason,
            calibration=evaluation.calibration,
            threshold=evaluation.value.threshold,
            metrics=values.pop("model"),
            intervals=evaluation.metrics["model"],
            baselines=values,
            gates=GateCounts(
                passed=sum(gate.verdict == "passed" for gate in gates.gates),
                failed=gates.failed,
            ),
            warnings=gates.warnings,
            history_notes=evaluation.history_notes,
            parity=ParityCounts(values_compared=parity.values_compared, mismatches=parity.mismatches),
            **served,
        )


def write_summary(summary: RunSummary, data: Path) -> None:
    """Write the summary as JSON, atomically; a report of an earlier run is deleted.

    Args:
        summary: Results of the job.
        data: Data folder.
    """
    with replace_file(data / SUMMARY_FILE) as temporary:
        temporary.write_text(summary.model_dump_json(indent=2) + "\n")
    if summary.refused is None:
        (data / REPORT_FILE).unlink(missing_ok=True)


def print_summary(summary: RunSummary, data: Path, console: Console) -> None:
    """Print the summary as tables.

    Args:
        summary: Results of the job.
        data: Data folder with the file of the summary, which is named at the end.
        console: Receives the tables.
    """
    # scikit-learn and Feast, which --help need not wait for
    from holdfast.training.baselines import BASELINE_LABELS

    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in (
        ("as of", f"{summary.as_of:%Y-%m-%d %H:%M} UTC"),
        (
            "transactions",
            f"{summary.transactions_ingested:,} ingested, {summary.transactions_quarantined:,} quarantined",
        ),
        *(
            (kind, f"{rows.ingested:,} ingested, {rows.quarantined:,} quarantined")
            for kind, rows in summary.further_rows.items()
        ),
        ("customers", f"{summary.customers:,} in {format_count(len(summary.feature_views), 'feature view')}"),
        (
            "parity",
            f"{format_count(summary.parity.mismatches, 'mismatch')} in "
            f"{format_count(summary.parity.values_compared, 'online value')}",
        ),
        ("model", f"{summary.model_name} version {summary.model_version}, {summary.chosen}"),
        ("reason", summary.reason),
        ("calibration", summary.calibration),
        ("gates", _format_gates(summary)),
        *(("warning", warning) for warning in summary.warnings),
        *([("refused", _format_refused(summary.refused, summary.champion))] if summary.refused else []),
        *(("history", note) for note in summary.history_notes),
        *([("horizon", summary.horizon_advice)] if summary.horizon_advice else []),
        ("bento", summary.bento),
    ):
        facts.add_row(f"[bold]{name}[/bold]", escape(value))

    roc_auc = summary.intervals["roc_auc"]
    performance = Table(
        box=box.SIMPLE_HEAD,
        title=f"Test period: {format_count(summary.test_rows, 'row')}; trained on "
        f"{format_count(summary.training_rows, 'row')}; 95% interval of Holdfast's ROC-AUC: {roc_auc.low:.3f} to "
        f"{roc_auc.high:.3f}",
        title_justify="left",
    )
    performance.add_column("")
    for label in METRIC_LABELS.values():
        performance.add_column(label, justify="right")
    rows = {"Holdfast": summary.metrics} | {BASELINE_LABELS[name]: values for name, values in summary.baselines.items()}
    for name, values in rows.items():
        performance.add_row(name, *(f"{values[metric]:.3f}" for metric in METRIC_LABELS))

    prediction = "\n".join(["[bold]Prediction over HTTP[/bold]", escape(json.dumps(summary.prediction, indent=2))])
    console.print(Group("", facts, "", performance, prediction, f"\nAll results: {escape(str(data / SUMMARY_FILE))}"))


def _format_gates(summary: RunSummary) -> str:
    if summary.gates.failed:
        return f"failed: {', '.join(summary.gates.failed)}; the champion is version {summary.champion}"
    if not summary.gates.passed:
        return f"their report is no longer in the run; the champion is version {summary.champion}"
    return f"all {summary.gates.passed} passed; the champion is version {summary.champion}"


def _format_refused(refused: RefusedVersion, champion: str) -> str:
    if refused.version is None:
        what = "no version was trained in this run"
    else:
        role = ", the champion," if refused.version == champion else ""
        what = f"version {refused.version}{role} failed {', '.join(refused.failed)}"
    return f"{what}; reasons and commands: {refused.page}"
