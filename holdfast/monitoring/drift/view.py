"""Drift view: inputs and scores of the logged predictions compared with the reference data of each version."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.core.formatting import format_count
from holdfast.core.types import Floats
from holdfast.feature_store.category_texts import read_category_texts
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.missing_versions import MissingVersionError
from holdfast.model_versions.aliases import read_contracts
from holdfast.models.contract import ServedModel
from holdfast.models.label import ActivityRule
from holdfast.monitoring.drift.plot import plot_drift
from holdfast.monitoring.drift.psi import SCORE
from holdfast.monitoring.drift.reference import DriftReference, load_reference
from holdfast.monitoring.drift.report import build_report
from holdfast.monitoring.drift.rule import FeatureDrift, compare_with_reference, mark_drifted
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow, read_metrics
from holdfast.monitoring.result import ViewResult, build_empty_result
from holdfast.monitoring.settings import DriftRules, MonitorSettings
from holdfast.monitoring.window import Window, read_window_predictions
from holdfast.training.mlflow_client import UnknownVersionError, open_registry, open_tracking

_CUSTOMERS = "customers"  # metric
_HISTORY_DAYS = 90  # in the plot
_Texts = Mapping[str, Mapping[float, str]]  # categorical input to code and text
_Counts = Mapping[str, tuple[int, int]]  # by version: active customers, all customers


def run_drift_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """Check each input and the score of each version for drift, with one row per customer; the rule is in ``rule.py``.

    Args:
        settings: Settings with the data folder.
        window: Monitoring window.
        rules: Limits.

    Returns:
        The result of the view.
    """
    predictions = latest_predictions(read_window_predictions(settings, window))
    if not predictions:
        return build_empty_result("drift", _CUSTOMERS, "No prediction was logged in the window.", "predictions")
    contracts = _read_contracts(settings)
    by_version = {
        version: select_active(rows, contracts[version].terms.activity) if version in contracts else rows
        for version, rows in predictions.items()
    }
    compared, notes = _load_references(settings, by_version, rules.drift)
    results = mark_drifted(
        [
            result
            for reference, current in compared
            for result in compare_with_reference(reference, current, window.as_of)
        ],
        rules.drift,
    )
    counts = {version: (len(rows), len(predictions[version])) for version, rows in by_version.items()}
    since = window.as_of - timedelta(days=_HISTORY_DAYS)
    history = read_metrics(settings, "drift", since, window.as_of, last_of_day=True)
    largest = max(compared, key=lambda pair: len(pair[1]), default=None)
    texts = _read_texts(settings, contracts, results)
    return ViewResult(
        view="drift",
        summary=_summarize(counts, results, rules.drift),
        metrics=_build_metric_rows(counts, results, rules.drift),
        table=_build_table(results, rules.drift),
        plot=plot_drift(results, history, window.as_of, rules.drift, largest[0].version if largest else ""),
        findings=_find_drifted(results, window, rules.drift, texts),
        report=partial(build_report, *largest) if largest else None,
        notes=[*notes, *_describe_categories(results, texts)],
        evaluated_subjects=None if results else (),
    )


def _read_contracts(settings: Settings) -> dict[str, ServedModel]:
    """Read the contract of each version, which has its activity window; a version without one is not compared."""
    try:
        return read_contracts(open_registry(settings))
    except UnknownVersionError:
        return {}


def _read_texts(settings: Settings, contracts: Mapping[str, ServedModel], results: list[FeatureDrift]) -> _Texts:
    """Read the texts of the categories, by the feature definitions of the versions whose inputs have some."""
    texts: dict[str, Mapping[float, str]] = {}
    for definitions in sorted({contracts[item.version].definitions for item in results if item.categories}):
        try:
            texts |= read_category_texts(open_version(settings, definitions))
        except MissingVersionError:  # retired: its codes stay
            continue
    return texts


def _load_references(
    settings: Settings, by_version: Mapping[str, pd.DataFrame], rules: DriftRules
) -> tuple[list[tuple[DriftReference, Floats]], list[str]]:
    """Load the reference data of each version with enough rows; the notes explain the other versions."""
    compared: list[tuple[DriftReference, Floats]] = []
    notes: list[str] = []
    for version, rows in by_version.items():
        if len(rows) < rules.min_rows:
            notes.append(
                f"Version {version}: {format_count(len(rows), 'active customer')}, at least {rules.min_rows} are "
                "needed."
            )
            continue
        try:
            reference = load_reference(open_tracking(settings), settings, version)
        except HoldfastError as error:
            notes.append(f"Version {version} was not compared: {error}.")
            continue
        if missing := [name for name in reference.names if name not in rows]:
            notes.append(f"Version {version} was not compared: its log lacks {', '.join(missing)}.")
            continue
        compared.append((reference, rows[reference.names].to_numpy(dtype=np.float64)))
    return compared, notes


def latest_predictions(log: pa.Table) -> dict[str, pd.DataFrame]:
    """Select the latest prediction of each customer, because the log holds repeated requests.

    Args:
        log: Prediction log.

    Returns:
        Predictions by version; the score is the column ``SCORE``.
    """
    frame = log.rename_columns({"churn_probability": SCORE}).to_pandas()
    frame = frame.sort_values(["as_of", "answered_at"], kind="stable").drop_duplicates(
        [ENTITY_KEY, "version"], keep="last"
    )
    return {str(version): rows for version, rows in frame.groupby("version", sort=True)}


def select_active(rows: pd.DataFrame, activity: ActivityRule) -> pd.DataFrame:
    """Select the predictions of active customers.

    Args:
        rows: Predictions.
        activity: Rule for active customers.

    Returns:
        The selected rows; all rows if the log lacks the recency.
    """
    return rows[activity.mask(rows[activity.feature])] if activity.feature in rows else rows


def _summarize(counts: _Counts, results: list[FeatureDrift], rules: DriftRules) -> str:
    versions = ", ".join(
        f"version {version} for {format_count(active, 'active customer')}"
        + (f" and {format_count(every - active, 'other')}" * (every > active))
        for version, (active, every) in counts.items()
    )
    if not results:
        return f"Predictions by {versions}: drift is not checked."
    largest = results[0]
    return (
        f"Predictions by {versions}: {sum(result.drifted for result in results)} of {len(results)} features and scores "
        f"drifted; largest PSI {largest.psi:.2f} ({largest.name}), limit {rules.max_psi:g}."
    )


def _build_metric_rows(counts: _Counts, results: list[FeatureDrift], rules: DriftRules) -> list[MetricRow]:
    rows = []
    for version, (active, every) in counts.items():
        rows.append(MetricRow(_CUSTOMERS, "predictions", every, every, version))
        rows.append(MetricRow("active_share", "predictions", active / every, every, version))
    for item in results:
        name, number, version = item.name, item.rows, item.version
        rows += [
            MetricRow("psi", name, item.psi, number, version, limit=rules.max_psi, breached=item.drifted),
            MetricRow("psi_training", name, item.vs_training.psi, number, version),
            *_category_rows(item),
            MetricRow("psi_population", name, item.vs_training_population.psi, number, version),
            MetricRow("p_value", name, item.p_value, number, version, limit=rules.alpha),
        ]
    return rows


def _category_rows(item: FeatureDrift) -> list[MetricRow]:
    if item.categories is None:
        return []
    return [MetricRow("new_category_share", item.name, item.categories.new_share, item.rows, item.version)]


def _build_table(results: list[FeatureDrift], rules: DriftRules) -> list[dict[str, Any]]:
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
        for item in results
    ]


def _describe_categories(results: list[FeatureDrift], texts: _Texts) -> list[str]:
    """Describe new and vanished categories, also those too small for drift; a model treats new ones as rare ones."""
    return [
        f"Version {item.version}: categories of {item.name}: {text}."
        for item in results
        if (text := _describe_change(item, texts))
    ]


def _describe_change(item: FeatureDrift, texts: _Texts) -> str:
    return item.categories.describe(texts.get(item.name, {})) if item.categories else ""


def _find_drifted(results: list[FeatureDrift], window: Window, rules: DriftRules, texts: _Texts) -> list[Finding]:
    """Build one finding per drifted feature, of the version with the largest PSI."""
    largest: dict[str, FeatureDrift] = {}
    for result in results:
        if result.drifted:
            largest.setdefault(result.name, result)
    return [_finding(result, window, rules, _describe_change(result, texts)) for result in largest.values()]


def _finding(item: FeatureDrift, window: Window, rules: DriftRules, categories: str) -> Finding:
    subject = "The score" if item.name == SCORE else item.name
    return Finding(
        event="holdfast.drift.detected",
        severity="warning",
        subject=item.name,
        summary=f"{subject} of {format_count(item.rows, 'customer')} has drifted from both references of version "
        f"{item.version}: PSI {item.vs_training.psi:.2f} vs. its training set, {item.vs_training_population.psi:.2f} "
        f"vs. the population at training (limit {rules.max_psi:g})." + f" Categories {categories}." * bool(categories),
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
