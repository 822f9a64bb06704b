"""Skew view: logged model inputs compared bit by bit with recomputed inputs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.feature_store.snapshots import NoDataError
from holdfast.model_versions.aliases import get_contract
from holdfast.models.registered_version import NotServableError
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.result import ViewResult, build_empty_result
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.skew.causes import COLUMNS, FeatureComparison, explain_differences
from holdfast.monitoring.skew.findings import (
    build_skew_metrics,
    build_skew_table,
    not_computable_finding,
    skew_findings,
)
from holdfast.monitoring.skew.logged_features import (
    LoggedFeatures,
    extract_logged_features,
    stack_columns,
    valid_timestamps,
)
from holdfast.monitoring.skew.plot import mismatch_report, plot_mismatches
from holdfast.monitoring.skew.recompute import PointInTimeDefinitions, checkout_definitions, recompute_features
from holdfast.monitoring.window import Window, read_window_predictions
from holdfast.training.mlflow_client import UnknownVersionError, open_registry


def run_skew_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """Compare each logged feature value of the window with the point-in-time value recomputed through Feast.

    Features are recomputed by the definitions of this checkout; missing snapshots are built.

    Args:
        settings: Settings with the data folder and the registry's URL.
        window: Monitoring window; features are recomputed from the data known at ``window.known_at``.
        rules: Limits.

    Returns:
        The result of the view.
    """
    logged = extract_logged_features(read_window_predictions(settings, window))
    if not logged:
        return build_empty_result("skew", "values_compared", "No prediction was logged in the window.")
    fingerprints, notes = _read_fingerprints(settings, {item.version for item in logged})
    with checkout_definitions(settings) as definitions:
        changed = {
            item.version: (
                definitions.changed_since(fingerprints[item.version])
                if item.version in fingerprints
                else definitions.not_applied
            )
            for item in logged
        }
        notes += _not_applied_notes(definitions)
        try:
            comparisons, failures = _compare(settings, definitions, logged, window, rules, changed)
        except NoDataError as error:
            return build_empty_result("skew", "values_compared", f"No feature can be recomputed: {error}")
        parts = [
            explain_differences(settings, definitions, item, window.known_at, rules.skew.max_delay_hours)
            for item in comparisons
            if item.different.any()
        ]
    different = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    counts = Counter[str]()
    for item in comparisons:
        counts.update(dict.fromkeys(item.logged.inputs, len(item.logged.x)))
    customers = pd.concat([item.keys[ENTITY_KEY] for item in logged]).nunique()
    summary = (
        f"{format_count(sum(counts.values()), 'value')} of {format_count(customers, 'customer')} compared, "
        f"{format_count(len(different), 'difference')}"
    )
    if failures:
        summary += (
            f"; {format_count(sum(item.payload['count'] for item in failures), 'prediction')} could not be recomputed"
        )
    return ViewResult(
        view="skew",
        summary=summary,
        metrics=[*build_skew_metrics(counts, different), *_not_computable_rows(failures)],
        table=build_skew_table(different, summary),
        plot=plot_mismatches(different, summary),
        findings=[*failures, *skew_findings(different, changed)],
        report=partial(mismatch_report, comparisons, rules.skew.report_rows) if comparisons else None,
        notes=notes,
        evaluated_subjects=() if failures else None,
    )


def _compare(
    settings: Settings,
    definitions: PointInTimeDefinitions,
    logged: Sequence[LoggedFeatures],
    window: Window,
    rules: MonitorSettings,
    changed: Mapping[str, Sequence[str]],
) -> tuple[list[FeatureComparison], list[Finding]]:
    """Recompute and compare the logged features; failures by changed definitions become findings."""
    keys = pd.concat([item.keys for item in logged], ignore_index=True)
    timestamps = valid_timestamps(keys, rules.skew.max_delay_hours)
    try:
        values = recompute_features(settings, definitions, keys, timestamps, window.known_at)
    except NoDataError:
        raise
    except Exception as error:  # changed definitions may fail in any way; without a change, the failure is no skew
        if not all(changed.values()):
            raise
        problem = (
            f"recomputing by the current definitions fails: {(str(error) or type(error).__name__).splitlines()[0]}"
        )
        return [], [
            not_computable_finding(item.version, changed[item.version], len(item.x), problem) for item in logged
        ]
    comparisons, start = [], 0
    for item in logged:
        part = {name: column[start : start + len(item.x)] for name, column in values.items()}
        recomputed = stack_columns(part, item.inputs, len(item.x))
        comparisons.append(FeatureComparison(item, recomputed, changed[item.version]))
        start += len(item.x)
    return comparisons, []


def _read_fingerprints(settings: Settings, versions: set[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Read the fingerprint of each version; the notes explain missing ones."""
    fingerprints: dict[str, dict[str, str]] = {}
    notes, unknown = [], []
    for version in sorted(versions):
        try:
            fingerprints[version] = get_contract(open_registry(settings), version).fingerprint
        except UnknownVersionError:
            unknown.append(version)
        except NotServableError as error:
            notes.append(str(error))
    if unknown:
        notes.append(f"The registry lacks the definitions of version {', '.join(unknown)}.")
    return fingerprints, notes


def _not_applied_notes(definitions: PointInTimeDefinitions) -> list[str]:
    if not definitions.not_applied:
        return []
    return [
        f"Feast's registry holds other definitions than this checkout ({', '.join(definitions.not_applied)}): values "
        "are recomputed by those of the checkout. `python -m flows.features` applies them."
    ]


def _not_computable_rows(failures: Sequence[Finding]) -> list[MetricRow]:
    return [
        MetricRow(
            "not_computable", "all", float(item.payload["count"]), item.payload["count"], item.payload["versions"][0],
            limit=0, breached=True,
        )
        for item in failures
    ]  # fmt: skip
