"""The skew view: what the models read against what training would read, value by value, bit by bit."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.feature_store.snapshots import NoDataError
from holdfast.model_versions.aliases import UnknownVersionError, list_versions, open_registry
from holdfast.models.registered_version import NotServableError, RegisteredVersion
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.result import ViewResult, build_empty_result
from holdfast.monitoring.settings import MonitorSettings
from holdfast.monitoring.skew.causes import COLUMNS, FeatureComparison, explain_differences
from holdfast.monitoring.skew.findings import build_metric_rows, build_table, not_computable_finding, skew_findings
from holdfast.monitoring.skew.logged_features import (
    LoggedFeatures,
    extract_logged_features,
    stack_columns,
    valid_timestamps,
)
from holdfast.monitoring.skew.plot import mismatch_report, plot_mismatches
from holdfast.monitoring.skew.recompute import PointInTimeDefinitions, checkout_definitions, recompute_features
from holdfast.monitoring.window import Window, read_logged_predictions


def run_skew_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """Every feature value logged in the window against the point-in-time value, recomputed through Feast.

    Recomputed from what is known at ``window.known_at``, by the definitions of this checkout; snapshots that are
    missing are built.
    """
    logged = extract_logged_features(read_logged_predictions(settings, window))
    if not logged:
        return build_empty_result("skew", "values_compared", "No prediction was logged in the window.")
    versions, notes = _fingerprints(settings, {item.version for item in logged})
    with checkout_definitions(settings) as by:
        changed = {
            item.version: by.changed_since(versions[item.version]) if item.version in versions else by.not_applied
            for item in logged
        }
        notes += _said_of(by)
        try:
            compared, broken = _compared(settings, by, logged, window, rules, changed)
        except NoDataError as error:
            return build_empty_result("skew", "values_compared", f"No feature can be recomputed: {error}")
        kept = [
            explain_differences(settings, by, item, window.known_at, rules.skew.max_delay_hours)
            for item in compared
            if item.different.any()
        ]
    different = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=COLUMNS)
    counts = Counter({name: 0 for item in compared for name in item.logged.inputs})
    for item in compared:
        counts.update(dict.fromkeys(item.logged.inputs, len(item.logged.x)))
    customers = pd.concat([item.keys[ENTITY_KEY] for item in logged]).nunique()
    summary = f"{sum(counts.values()):,} values of {customers:,} customers compared, {len(different):,} differences"
    if broken:
        summary += f"; {sum(item.payload['count'] for item in broken):,} predictions could not be recomputed"
    return ViewResult(
        view="skew",
        summary=summary,
        metrics=[*build_metric_rows(counts, different), *_broken_rows(broken)],
        table=build_table(different, summary),
        plot=plot_mismatches(different, summary),
        findings=[*broken, *skew_findings(different, changed)],
        report=mismatch_report(compared, rules.skew.report_rows) if compared else None,
        notes=notes,
        evaluated_subjects=() if broken else None,
    )


def _compared(
    settings: Settings,
    by: PointInTimeDefinitions,
    logged: Sequence[LoggedFeatures],
    window: Window,
    rules: MonitorSettings,
    changed: Mapping[str, Sequence[str]],
) -> tuple[list[FeatureComparison], list[Finding]]:
    """What could be recomputed, and what not because its definitions changed."""
    keys = pd.concat([item.keys for item in logged], ignore_index=True)
    moments = valid_timestamps(keys, rules.skew.max_delay_hours)
    try:
        values = recompute_features(settings, by, keys, moments, window.known_at)
    except NoDataError:
        raise
    except Exception as error:  # whatever definitions of now make of it; if they have not changed, it is no skew
        if not all(changed.values()):
            raise
        problem = f"computing by those of now fails: {(str(error) or type(error).__name__).splitlines()[0]}"
        return [], [
            not_computable_finding(item.version, changed[item.version], len(item.x), problem) for item in logged
        ]
    compared, start = [], 0
    for item in logged:
        part = {name: column[start : start + len(item.x)] for name, column in values.items()}
        again = stack_columns(part, item.inputs, len(item.x))
        compared.append(FeatureComparison(item, again, changed[item.version]))
        start += len(item.x)
    return compared, []


def _fingerprints(settings: Settings, wanted: set[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Version to the fingerprint it was trained with, and why that of some is not known."""
    try:
        versions = list_versions(open_registry(settings))
    except UnknownVersionError:
        versions = []
    found, notes = {}, []
    for version in versions:
        if (number := str(version.version)) not in wanted:
            continue
        try:
            found[number] = RegisteredVersion(number, version.tags).contract().fingerprint
        except NotServableError as error:
            notes.append(str(error))
    if missing := wanted - {str(version.version) for version in versions}:
        notes.append(f"The registry does not know the definitions of version {', '.join(sorted(missing))}.")
    return found, notes


def _said_of(by: PointInTimeDefinitions) -> list[str]:
    if not by.not_applied:
        return []
    return [
        f"Feast's registry holds other definitions than this checkout ({', '.join(by.not_applied)}): values are "
        "recomputed by those of the checkout. `python -m flows.features` applies them."
    ]


def _broken_rows(broken: Sequence[Finding]) -> list[MetricRow]:
    return [
        MetricRow(
            "not_computable", "all", float(item.payload["count"]), item.payload["count"], item.payload["versions"][0],
            limit=0, breached=True,
        )
        for item in broken
    ]  # fmt: skip
