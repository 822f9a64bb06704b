"""The summary of a whole run: as JSON for machines, as tables for people."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from holdfast.core.atomic_files import replace_file
from holdfast.training.evaluation_report import METRIC_LABELS, Interval

MODELS = {"base_rate": "base rate", "recency": "recency alone", "rfm": "RFM logistic", "bg_nbd": "BG/NBD"}


class ParityCounts(BaseModel):
    """Online values held against point-in-time values."""

    values_compared: int
    mismatches: int


class GateCounts(BaseModel):
    """How many gates the version passed, and which it failed."""

    passed: int
    failed: list[str]


class RunSummary(BaseModel):
    """What the main job did, as ``run-summary.json`` holds it."""

    model_config = {"protected_namespaces": ()}

    as_of: datetime
    transactions_ingested: int
    transactions_quarantined: int
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
    parity: ParityCounts
    bento: str
    prediction: dict[str, Any]
    seconds: dict[str, float]


def write_summary(summary: RunSummary, path: Path) -> None:
    """Write the JSON, as a whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(summary.model_dump_json(indent=2) + "\n")


def print_summary(summary: RunSummary, path: Path, console: Console) -> None:
    """Print the tables a person reads at the end of a run."""
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in (
        ("as of", f"{summary.as_of:%Y-%m-%d %H:%M} UTC"),
        (
            "transactions",
            f"{summary.transactions_ingested:,} ingested, {summary.transactions_quarantined:,} in quarantine",
        ),
        ("customers", f"{summary.customers:,} in {len(summary.feature_views)} feature views"),
        (
            "parity",
            f"{summary.parity.values_compared:,} values, online and training: {summary.parity.mismatches} mismatches",
        ),
        ("model", f"{summary.model_name} version {summary.model_version}, {summary.chosen}"),
        ("why", summary.reason),
        ("calibration", summary.calibration),
        ("gates", _gates(summary)),
        ("bento", summary.bento),
    ):
        facts.add_row(f"[bold]{name}[/bold]", escape(value))

    roc_auc = summary.intervals["roc_auc"]
    quality = Table(
        box=box.SIMPLE_HEAD,
        title=f"Test period: {summary.test_rows:,} rows, trained on {summary.training_rows:,}; "
        f"Holdfast's ROC-AUC is {roc_auc.low:.3f} to {roc_auc.high:.3f} (95%)",
        title_justify="left",
    )
    quality.add_column("")
    for label in METRIC_LABELS.values():
        quality.add_column(label, justify="right")
    rows = {"Holdfast": summary.metrics} | {MODELS[name]: values for name, values in summary.baselines.items()}
    for name, values in rows.items():
        quality.add_row(name, *(f"{values[metric]:.3f}" for metric in METRIC_LABELS))

    answer = "\n".join(["[bold]A live prediction over HTTP[/bold]", escape(json.dumps(summary.prediction, indent=2))])
    console.print(Group("", facts, "", quality, answer, f"\nAll of it: {escape(str(path))}"))


def _gates(summary: RunSummary) -> str:
    if summary.gates.failed:
        return f"failed: {', '.join(summary.gates.failed)}; the champion is version {summary.champion}"
    return f"all {summary.gates.passed} passed; the champion is version {summary.champion}"
