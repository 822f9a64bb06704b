"""Rows of the tables that flows publish in the Prefect UI."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from holdfast.core.formatting import format_count, format_minute
from holdfast.core.plain_text import escape_markdown
from holdfast.training.evaluation_report import METRIC_LABELS, Evaluation
from holdfast.training.regression.scores import SPEND_METRIC_LABELS

if TYPE_CHECKING:
    import pandas as pd

    from holdfast.alerting.alert import OpenAlert
    from holdfast.batch_scoring.scoring_run import ScoreResult
    from holdfast.feature_store.parity import ParityReport
    from holdfast.ingestion.reading.source import FileReport
    from holdfast.ingestion.results import IngestResult
    from holdfast.rollout.guardrails import Guardrail
    from holdfast.training.hyperparameter_search import SearchTrial
    from holdfast.training.regression.report import RegressionEvaluation

Rows = list[dict[str, Any]]


def trial_rows(trials: "Sequence[SearchTrial]") -> Rows:
    """Tabulate the trials of a hyperparameter search, best first.

    Args:
        trials: The trials.

    Returns:
        One row per trial.
    """
    return [
        {
            "trial": trial.name,
            "log loss on the folds": "pruned" if trial.log_loss is None else round(trial.log_loss, 4),
            "seconds": round(trial.seconds, 1),
        }
        for trial in sorted(trials, key=lambda trial: math.inf if trial.log_loss is None else trial.log_loss)
    ]


def evaluation_rows(evaluation: Evaluation) -> Rows:
    """Tabulate the metrics of the model and of each baseline.

    Args:
        evaluation: The evaluation on the test period.

    Returns:
        One row per model.
    """
    return [
        {"model": name} | {METRIC_LABELS[metric]: str(value) for metric, value in values.items()}
        for name, values in evaluation.metrics.items()
    ]


def regression_rows(evaluation: "RegressionEvaluation") -> Rows:
    """Tabulate the metrics of a regression and of each baseline.

    Args:
        evaluation: The evaluation on the test period.

    Returns:
        One row per model.
    """
    return [
        {"model": name} | {SPEND_METRIC_LABELS[metric]: str(value) for metric, value in values.items()}
        for name, values in evaluation.metrics.items()
    ]


def month_rows(evaluation: Evaluation) -> Rows:
    """Tabulate the metrics of each month of the test period.

    Args:
        evaluation: The evaluation on the test period.

    Returns:
        One row per cut-off.
    """
    return [
        {
            "cut-off": f"{month.cutoff:%Y-%m}",
            "rows": month.rows,
            "churned": f"{month.base_rate:.1%}",
            "predicted": f"{month.mean_score:.1%}",
        }
        | {METRIC_LABELS[metric]: str(value) for metric, value in month.metrics.items()}
        for month in evaluation.months
    ]


def guardrail_rows(guardrails: "Sequence[Guardrail]") -> Rows:
    """Tabulate the guardrails of a rollout step.

    Args:
        guardrails: The guardrails.

    Returns:
        One row per guardrail.
    """
    return [
        {
            "guardrail": guardrail.name,
            "value": f"{guardrail.value:.4g}",
            "limit": f"{guardrail.limit:.4g}",
            "rows": guardrail.rows,
            "verdict": guardrail.verdict.upper() if guardrail.verdict == "breached" else guardrail.verdict,
            "description": guardrail.description,
        }
        for guardrail in guardrails
    ]


def parity_rows(report: "ParityReport") -> Rows:
    """Tabulate the counts of a parity check.

    Args:
        report: The check.

    Returns:
        One row.
    """
    return [
        {
            "as_of": format_minute(report.as_of),
            "customers": report.customers,
            "features": report.features,
            "values compared": report.values_compared,
            "mismatches": report.mismatches,
        }
    ]


def mismatch_rows(report: "ParityReport") -> Rows:
    """Tabulate examples of values that differ between the online store and the offline store.

    Args:
        report: The parity check.

    Returns:
        One row per example.
    """
    return [
        {"customer": m.customer_id, "feature": m.feature, "online": repr(m.online), "offline": repr(m.offline)}
        for m in report.examples
    ]


def ingest_rows(result: "IngestResult") -> Rows:
    """Tabulate the row counts of an ingest, the counts of quarantined rows by reason, and the notes.

    Args:
        result: The result of the ingest.

    Returns:
        One row per count and per note; a note has no count.
    """
    rows: Rows = [{"what": what, "rows": count} for what, count in result.counts.items()]
    rows += [{"what": f"bad: {reason}", "rows": count} for reason, count in result.reasons.items()]
    return rows + [{"what": f"note: {note}", "rows": ""} for note in result.notes]


def file_rows(reports: "Sequence[FileReport]") -> Rows:
    """Tabulate the files of a folder: the rows that were read, or the reason why a file was left out.

    Args:
        reports: One report per file.

    Returns:
        One row per file.
    """
    return [{"file": item.name, "rows read": item.rows_read, "left out": item.reason} for item in reports]


def score_rows(results: "Sequence[ScoreResult]") -> Rows:
    """Tabulate the results of a backfill.

    Args:
        results: One result per day.

    Returns:
        One row per day.
    """
    return [
        {
            "day": f"{result.table.as_of:%Y-%m-%d}",
            "version": result.table.model_version,
            "scored": result.customers,
            "active": result.active,
            "will churn": result.will_churn,
        }
        for result in results
    ]


def alert_rows(alerts: "Sequence[OpenAlert]") -> Rows:
    """Tabulate open alerts.

    Args:
        alerts: The alerts.

    Returns:
        One row per alert.
    """
    return [
        {
            "severity": item.severity,
            "alert": item.title,
            "text": item.text,
            "since": f"{item.opened:%Y-%m-%d %H:%M}",
            "raised": item.count,
            "key": item.key,
            "evidence": item.evidence_url,
            "runbook": item.runbook,
        }
        for item in alerts
    ]


def quarantine_markdown(quarantine: "pd.DataFrame", rows: int = 10) -> str:
    """Tabulate the first rows of the quarantine, without customer data.

    Args:
        quarantine: The quarantined rows, with file, row number and reasons.
        rows: Maximum number of rows.

    Returns:
        Markdown.
    """
    sample = quarantine.head(rows)
    positions = zip(sample["source_file"], sample["row_number"], map("; ".join, sample["reasons"]), strict=True)
    lines = [f"| {escape_markdown(file)} | {row} | {escape_markdown(reasons)} |" for file, row, reasons in positions]
    table = "\n".join(["| file | row | reasons |", "|---|---|---|", *lines])
    return f"The first {len(sample)} of {format_count(len(quarantine), 'bad row')}.\n\n{table}"
