"""Freshness of the online store, the batch scores and the champion."""

import math
from datetime import timedelta
from typing import Any

from feature_repo.settings import Settings
from holdfast.batch_scoring.score_store import list_score_tables
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.materialization import (
    UnserveableStoreError,
    check_serveable,
    is_materializing,
    load_online_state,
)
from holdfast.feature_store.missing_versions import MissingVersionError
from holdfast.model_versions.definitions_in_use import list_served_definitions
from holdfast.models.contract import CHAMPION, freshness_limits
from holdfast.models.declaration import CHURN, list_models, registered_name
from holdfast.models.registered_version import NoSuchAliasError, RegistryUnavailableError
from holdfast.models.registry_client import RegistryClient, fail_fast_env
from holdfast.monitoring.findings import Finding, Severity
from holdfast.monitoring.metrics_store import MetricRow, read_metrics
from holdfast.monitoring.result import CheckResult, check_limit
from holdfast.monitoring.settings import DataQualityRules
from holdfast.monitoring.window import Window

ONLINE, SCORES = "online store", "scores"  # subjects, beside CHAMPION
_AGE = "age_hours"
_NEVER_FILLED = "The online store was never materialized: run `python -m flows.features`."
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_LOOKBACK = timedelta(days=30)


def check_online_store(settings: Settings, window: Window) -> CheckResult:
    """Compare the age of the features in the online store with the limits of the feature views.

    Each version of the feature definitions that the champion or the challenger needs is checked. Beyond the soft limit
    the service flags its predictions as stale, beyond the hard limit it refuses them. These states of the store are
    critical, too: a version is not registered; the store cannot be read; it lost its rows; its age is unknown because
    the latest materialization was interrupted or failed the parity check, and an earlier run knew the age. A store that
    is being filled is not checked.

    Args:
        settings: Settings with the data folder and the registry's URL.
        window: Monitoring window; the age is that at its end.

    Returns:
        The largest age in hours (NaN if one is unknown), and one finding if a limit is exceeded.
    """
    versions = list_served_definitions(settings)
    if not versions:
        return CheckResult(notes=[_NEVER_FILLED])
    named = len(versions) > 1
    checks = [_check_version(settings, window, version, named) for version in versions]
    rows = sorted(
        (row for check in checks for row in check.metrics),
        key=lambda row: (row.breached, math.isnan(row.value), row.value),
    )
    findings = [finding for check in checks for finding in check.findings]
    findings.sort(key=lambda finding: finding.severity != "critical")
    summary = " ".join(finding.summary for finding in findings)
    return CheckResult(
        rows[-1:],
        [finding.model_copy(update={"summary": summary}) for finding in findings[:1]],
        [note for check in checks for note in check.notes],
    )


def _check_version(settings: Settings, window: Window, version: str, named: bool) -> CheckResult:
    """Check the features of one version of the feature definitions, which texts name where there are several."""
    about = f"Version {version} of the feature definitions: " if named else ""
    try:
        limits = freshness_limits(open_version(settings, version)).values()
    except MissingVersionError as error:
        return _unknown_age(str(error))
    state = load_online_state(settings, version)
    if state is None and is_materializing(settings):
        state = load_online_state(settings, version)  # the materialization may have ended since the first read
        if state is None:
            return CheckResult(notes=[f"{about}The online store is being filled: its age is not checked."])
    if state is None or not limits:
        known = read_metrics(settings, "data", since=window.as_of - _LOOKBACK, before=window.as_of)
        if known[(known["metric"] == _AGE) & (known["subject"] == ONLINE)].empty:
            return CheckResult(notes=[f"{about}{_NEVER_FILLED}"])
        summary = "The latest materialization of the online store was interrupted or failed the parity check."
        return _unknown_age(f"{about}{summary}")
    try:
        check_serveable(settings, version)
    except UnserveableStoreError as error:
        return _unknown_age(f"{about}{error} The service refuses customers.")
    soft, hard = min(limit.soft for limit in limits), min(limit.hard for limit in limits)
    age = max(window.as_of - state.as_of, timedelta())
    soft_hours, hard_hours, age_hours = soft / _HOUR, hard / _HOUR, age / _HOUR
    severity: Severity = "critical" if age > hard else "warning"
    consequence = "refuses predictions" if age > hard else "flags its predictions as stale"
    summary = (
        f"{about}The online store holds features of {state.as_of:%Y-%m-%d %H:%M} UTC, {age_hours:.0f} hours old, "
        f"beyond {hard_hours if age > hard else soft_hours:.0f}: the service {consequence}."
    )
    payload = {"age_hours": age_hours, "soft_hours": soft_hours, "hard_hours": hard_hours, "definitions": version}
    return check_limit(
        MetricRow(_AGE, ONLINE, age_hours, 1, limit=soft_hours), _finding(severity, ONLINE, summary, payload)
    )


def check_batch_scores(settings: Settings, window: Window, rules: DataQualityRules) -> CheckResult:
    """Compare the age of the newest batch scores with the limit; without any batch scores nothing is checked.

    Args:
        settings: Settings with the folder of the scores.
        window: Monitoring window; the age is that at its end.
        rules: Limits.

    Returns:
        The age in hours, and a finding if the limit is exceeded.
    """
    newest = max((table.as_of for table in list_score_tables(settings) if table.as_of <= window.as_of), default=None)
    if newest is None:
        return CheckResult()
    age, limit = (window.as_of - newest) / _HOUR, rules.max_scores_age_hours
    summary = (
        f"The newest batch scores are of {newest:%Y-%m-%d %H:%M} UTC, {age:.0f} hours old; the limit is {limit:g}."
    )
    finding = _finding("warning", SCORES, summary, {"age_hours": age, "limit": limit})
    return check_limit(MetricRow(_AGE, SCORES, age, 1, limit=limit), finding)


def check_champions(settings: Settings, window: Window, rules: DataQualityRules) -> CheckResult:
    """Compare the age of the champion of each declared model with the limit.

    The age counts from the as_of of the training, not from the promotion: a late promotion adds no training data.

    Args:
        settings: Settings with the registry's URL.
        window: Monitoring window; the age is that at its end.
        rules: Limits.

    Returns:
        The ages in days, and a finding for each that exceeds the limit.
    """
    checks = [_check_champion(settings, window, rules, model) for model in list_models()]
    return CheckResult(
        [row for check in checks for row in check.metrics],
        [finding for check in checks for finding in check.findings],
        [note for check in checks for note in check.notes],
    )


def _check_champion(settings: Settings, window: Window, rules: DataQualityRules, model: str) -> CheckResult:
    name = registered_name(model)
    try:
        with fail_fast_env():
            champion = RegistryClient(settings.mlflow_tracking_uri, name).get_by_alias(CHAMPION)
    except NoSuchAliasError:
        return CheckResult()
    except RegistryUnavailableError as error:  # the other checks of the view do not need the registry
        return CheckResult(notes=[f"{name}: The age of the champion is unknown: {error}"])
    trained_at = champion.trained_as_of()
    if trained_at is None:
        note = f"{name}: The age of the champion is unknown: version {champion.number} was not registered by training."
        return CheckResult(notes=[note])
    limit = rules.max_champion_age_days
    age = max(window.as_of - trained_at, timedelta()) / _DAY
    summary = (
        f"The champion of {name}, version {champion.number}, was trained as of {trained_at:%Y-%m-%d}, {age:.0f} days "
        f"ago; the limit is {limit:g}. No later version has been promoted."
    )
    payload = {"version": champion.number, "trained_as_of": trained_at.isoformat(), "age_days": age, "limit": limit}
    subject = CHAMPION if model == CHURN else f"{model}.{CHAMPION}"
    row = MetricRow("age_days", subject, age, 1, champion.number, limit=limit)
    return check_limit(row, _finding("warning", subject, summary, payload | {"model": model}))


def _unknown_age(summary: str) -> CheckResult:
    row = MetricRow(_AGE, ONLINE, float("nan"), 0, breached=True)
    return CheckResult([row], [_finding("critical", ONLINE, summary, {})])


def _finding(severity: Severity, subject: str, summary: str, payload: dict[str, Any]) -> Finding:
    return Finding(
        event="holdfast.freshness.breached", severity=severity, subject=subject, summary=summary, payload=payload
    )
