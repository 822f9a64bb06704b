"""The drift view: what the service read and said in the window, against what each version knows."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.batch_scoring.population import active_mask
from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.models.contract import RECENCY_FEATURE
from holdfast.monitoring.drift.plot import plot_drift
from holdfast.monitoring.drift.psi import SCORE
from holdfast.monitoring.drift.reference import DriftReference, load_reference
from holdfast.monitoring.drift.rule import FeatureDrift, compare_with_reference, mark_drifted
from holdfast.monitoring.evidently_workspace import build_drift_report
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow, read_metrics
from holdfast.monitoring.result import ViewResult
from holdfast.monitoring.settings import DriftRules, MonitorSettings
from holdfast.monitoring.window import Window, read_logged_predictions
from holdfast.training.mlflow_tracking import open_tracking

CUSTOMERS = "customers"
SHOWN_DAYS = 90  # of history in the picture
Counts = Mapping[str, tuple[int, int]]  # by version: active customers, and all


def run_drift_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """PSI of every input and of the score, by version, one row per customer; see ``drift_rule`` for the rule."""
    asked = latest_predictions(read_logged_predictions(settings, window))
    by_version = {version: select_active(rows, settings.activity_days) for version, rows in asked.items()}
    compared, notes = _with_references(settings, by_version, rules.drift)
    moved = [
        item for reference, current in compared for item in compare_with_reference(reference, current, window.as_of)
    ]
    judged = mark_drifted(moved, rules.drift)
    counts = {version: (len(rows), len(asked[version])) for version, rows in by_version.items()}
    since = window.as_of - timedelta(days=SHOWN_DAYS)
    history = read_metrics(settings, "drift", since, window.as_of, last_of_day=True)
    main = max(compared, key=lambda pair: len(pair[1]), default=None)
    return ViewResult(
        view="drift",
        summary=_summary(counts, judged, rules.drift),
        metrics=_metrics(counts, judged, rules.drift),
        table=_table(judged, rules.drift),
        plot=plot_drift(judged, history, window.as_of, rules.drift, main[0].version if main else ""),
        findings=_findings(judged, window, rules.drift),
        report=partial(_report, *main) if main else None,
        notes=notes,
        evaluated_subjects=None if judged else (),
    )


def _with_references(
    settings: Settings, by_version: Mapping[str, pd.DataFrame], rules: DriftRules
) -> tuple[list[tuple[DriftReference, Floats]], list[str]]:
    """Each version that can be judged, with what was logged of it; of the others, why not."""
    compared: list[tuple[DriftReference, Floats]] = []
    notes: list[str] = []
    for version, rows in by_version.items():
        if len(rows) < rules.min_rows:
            notes.append(f"Version {version}: {len(rows)} active customers are too few, it takes {rules.min_rows}.")
            continue
        try:
            reference = load_reference(open_tracking(settings), settings, version)
        except HoldfastError as error:
            notes.append(f"Version {version} was not compared: {error}.")
            continue
        if absent := [name for name in reference.names if name not in rows]:
            notes.append(f"Version {version} was not compared: its log has no {', '.join(absent)}.")
            continue
        compared.append((reference, rows[reference.names].to_numpy(dtype=np.float64)))
    return compared, notes


def latest_predictions(log: pa.Table) -> dict[str, pd.DataFrame]:
    """By version the latest prediction of each customer: the log holds repeated requests. ``SCORE`` is a column."""
    frame = log.rename_columns({"churn_probability": SCORE}).to_pandas()
    frame = frame.sort_values(["as_of", "answered_at"], kind="stable").drop_duplicates(
        [ENTITY_KEY, "version"], keep="last"
    )
    return {str(version): rows for version, rows in frame.groupby("version", sort=True)}


def select_active(rows: pd.DataFrame, activity_days: int) -> pd.DataFrame:
    """Those of active customers; all where the log does not say who is."""
    return rows[active_mask(rows[RECENCY_FEATURE], activity_days)] if RECENCY_FEATURE in rows else rows


def _summary(counts: Counts, judged: list[FeatureDrift], rules: DriftRules) -> str:
    if not counts:
        return "No prediction was logged in the window: there is nothing to compare."
    who = ", ".join(
        f"version {version} for {active:,} active customers" + (f" and {every - active:,} others" * (every > active))
        for version, (active, every) in counts.items()
    )
    if not judged:
        return f"Predictions by {who}: not judged."
    most = judged[0]
    told = f"most {most.name} {most.psi:.2f}, limit {rules.max_psi:g}"
    drifted = sum(item.drifted for item in judged)
    return f"Predictions by {who}: {drifted} of {len(judged)} features and scores drifted; {told}."


def _metrics(counts: Counts, judged: list[FeatureDrift], rules: DriftRules) -> list[MetricRow]:
    rows = []
    for version, (active, every) in counts.items():
        rows.append(MetricRow(CUSTOMERS, "predictions", every, every, version))
        rows.append(MetricRow("active_share", "predictions", active / every, every, version))
    for item in judged:
        name, number, version = item.name, item.rows, item.version
        rows += [
            MetricRow("psi", name, item.psi, number, version, limit=rules.max_psi, breached=item.drifted),
            MetricRow("psi_training", name, item.vs_training.psi, number, version),
            MetricRow("psi_population", name, item.vs_training_population.psi, number, version),
            MetricRow("p_value", name, item.p_value, number, version, limit=rules.alpha),
        ]
    return rows or [MetricRow(CUSTOMERS, "predictions", 0, 0)]


def _table(judged: list[FeatureDrift], rules: DriftRules) -> list[dict[str, Any]]:
    return [
        {
            "version": item.version,
            "feature": item.name,
            "PSI vs. training set": f"{item.vs_training.psi:.3f}",
            "PSI vs. population at training": f"{item.vs_training_population.psi:.3f}",
            "p-value": f"{item.p_value:.2g}",
            "customers": item.rows,
            "state": "drifted" if item.drifted else "moving" if item.psi >= rules.noted_psi else "",
        }
        for item in judged
    ]


def _findings(judged: list[FeatureDrift], window: Window, rules: DriftRules) -> list[Finding]:
    """One per feature: of several versions, the one in which it moved farthest."""
    first: dict[str, FeatureDrift] = {}
    for item in judged:
        if item.drifted:
            first.setdefault(item.name, item)
    return [_finding(item, window, rules) for item in first.values()]


def _finding(item: FeatureDrift, window: Window, rules: DriftRules) -> Finding:
    what = "The score" if item.name == SCORE else item.name
    return Finding(
        event="holdfast.drift.detected",
        severity="warning",
        subject=item.name,
        summary=f"{what} of {item.rows:,} customers has drifted from both references of version {item.version}: PSI "
        f"{item.vs_training.psi:.2f} vs. its training set, {item.vs_training_population.psi:.2f} vs. the population at "
        f"training (limit {rules.max_psi:g}).",
        payload={
            "version": item.version,
            "psi": item.psi,
            "psi_training": item.vs_training.psi,
            "psi_population": item.vs_training_population.psi,
            "limit": rules.max_psi,
            "p_value": item.p_value,
            "rows": item.rows,
            "as_of": window.as_of.isoformat(),
            "window": {"start": window.start.isoformat(), "end": window.as_of.isoformat()},
        },
    )


def _report(reference: DriftReference, current: Floats) -> object | None:
    """Compare inputs and score of the window with the population at training, in Evidently's report."""
    frames = (pd.DataFrame(rows, columns=reference.names) for rows in (current, reference.training_population))
    return build_drift_report(*frames)
