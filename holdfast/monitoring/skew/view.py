"""Skew view: logged model inputs compared bit by bit with recomputed inputs."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.feature_store.missing_versions import MissingVersionError, RetiredVersionError
from holdfast.feature_store.snapshots import NoDataError
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
from holdfast.monitoring.skew.recompute import PointInTimeDefinitions, load_served_definitions, recompute_features
from holdfast.monitoring.window import Window, read_window_predictions


def run_skew_view(settings: Settings, window: Window, rules: MonitorSettings) -> ViewResult:
    """Compare each logged feature value of the window with the point-in-time value recomputed through Feast.

    The features of a model version are recomputed by its definitions; missing snapshots are built.

    Args:
        settings: Settings with the data folder and the registry's URL.
        window: Monitoring window; features are recomputed from the data known at ``window.known_at``.
        rules: Limits.

    Returns:
        The result of the view.
    """
    log = read_window_predictions(settings, window)
    if not log.num_rows:
        return build_empty_result("skew", "values_compared", "No prediction was logged in the window.")
    served = load_served_definitions(settings, pc.unique(log["version"]).to_pylist())
    try:
        comparisons = _compare(settings, served.found, log, window, rules)
    except NoDataError as error:
        return build_empty_result("skew", "values_compared", f"No feature can be recomputed: {error}")
    failures = _not_computable(log, served.missing)
    parts = [
        explain_differences(settings, item, window.known_at, rules.skew.max_delay_hours)
        for item in comparisons
        if item.different.any()
    ]
    different = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    counts = Counter[str]()
    for item in comparisons:
        counts.update(dict.fromkeys(item.logged.inputs, len(item.logged.x)))
    summary = _summarize(log, comparisons, len(different))
    return ViewResult(
        view="skew",
        summary=summary,
        metrics=[*build_skew_metrics(counts, different), *_not_computable_rows(failures)],
        table=build_skew_table(different, summary),
        plot=plot_mismatches(different, summary),
        findings=[*failures, *skew_findings(different)],
        report=partial(mismatch_report, comparisons, rules.skew.report_rows) if comparisons else None,
        notes=served.notes,
        evaluated_subjects=() if failures or served.notes else None,
    )


def _compare(
    settings: Settings,
    definitions: Mapping[str, PointInTimeDefinitions],
    log: pa.Table,
    window: Window,
    rules: MonitorSettings,
) -> list[FeatureComparison]:
    """Recompute and compare the logged features of each model version; versions with equal definitions share rows."""
    inputs = {version: [feature.name for feature in item.inputs] for version, item in definitions.items()}
    groups = defaultdict[str, list[LoggedFeatures]](list)
    for item in extract_logged_features(log, inputs):
        groups[definitions[item.version].version].append(item)
    comparisons = []
    for group in groups.values():
        shared = definitions[group[0].version]
        keys = pd.concat([item.keys for item in group], ignore_index=True)
        timestamps = valid_timestamps(keys, rules.skew.max_delay_hours)
        values = recompute_features(settings, shared, keys, timestamps, window.known_at)
        start = 0
        for item in group:
            part = {name: column[start : start + len(item.x)] for name, column in values.items()}
            comparisons.append(FeatureComparison(shared, item, stack_columns(part, item.inputs, len(item.x))))
            start += len(item.x)
    return comparisons


def _summarize(log: pa.Table, comparisons: Sequence[FeatureComparison], differences: int) -> str:
    values = sum(item.logged.x.size for item in comparisons)
    customers = len({customer for item in comparisons for customer in item.logged.keys[ENTITY_KEY]})
    compared = pa.array([item.logged.version for item in comparisons], pa.string())
    others = log.num_rows - pc.sum(pc.is_in(log["version"], compared)).as_py()
    summary = (
        f"{format_count(values, 'value')} of {format_count(customers, 'customer')} compared, "
        f"{format_count(differences, 'difference')}"
    )
    return f"{summary}; {format_count(others, 'prediction')} could not be recomputed" if others else summary


def _not_computable(log: pa.Table, missing: Mapping[str, MissingVersionError]) -> list[Finding]:
    return [
        not_computable_finding(
            version,
            pc.sum(pc.equal(log["version"], version)).as_py(),
            str(problem),
            isinstance(problem, RetiredVersionError),
        )
        for version, problem in missing.items()
    ]


def _not_computable_rows(failures: Sequence[Finding]) -> list[MetricRow]:
    return [
        MetricRow(
            "not_computable", "all", float(item.payload["count"]), item.payload["count"], item.payload["versions"][0],
            limit=0, breached=item.severity == "critical",
        )
        for item in failures
    ]  # fmt: skip
