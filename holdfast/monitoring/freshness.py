"""Whether what is served is of today: the online store, the batch scores and the model itself."""

from datetime import datetime, timedelta
from typing import Any

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.batch_scoring.score_store import list_score_tables
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.materialization import (
    UnserveableStoreError,
    check_serveable,
    is_materializing,
    load_online_state,
)
from holdfast.models.contract import CHAMPION, freshness_limits
from holdfast.models.registered_version import NoSuchAliasError, RegistryUnavailableError
from holdfast.models.registry_client import RegistryClient, fail_fast_env
from holdfast.monitoring.findings import Finding, Severity
from holdfast.monitoring.metrics_store import MetricRow, read_metrics
from holdfast.monitoring.settings import DataRules
from holdfast.monitoring.window import Window

ONLINE, SCORES = "online store", "scores"  # beside CHAMPION
_AGE = "age_hours"
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_REMEMBERED = timedelta(days=30)
Judged = tuple[list[MetricRow], list[Finding], list[str]]


def check_online_store(settings: Settings, window: Window) -> Judged:
    """The age of the online store at ``as_of`` against the limits of the feature views behind the model.

    Beyond the soft limit the service flags its answers, beyond the hard one it refuses. A store whose last
    materialisation was cut short, or disproved, is of no known age: critical, if one was known before. So is one that
    cannot be read, or has lost what it was filled with. One that is being filled is not judged.
    """
    store = open_store()
    limits = freshness_limits(store).values()
    state = load_online_state(settings)
    if state is None and is_materializing(settings):
        state = load_online_state(settings)  # that run may have ended in between
        if state is None:
            return [], [], ["The online store is being filled: its age is not judged."]
    if state is None or not limits:
        known = read_metrics(settings, "data", since=window.as_of - _REMEMBERED, before=window.as_of)
        before = known[(known["metric"] == _AGE) & (known["subject"] == ONLINE)]
        if before.empty:
            return [], [], ["Nothing was materialised into the online store yet: run `python -m flows.features`."]
        text = "The last materialisation of the online store was cut short, or parity disproved it."
        row = MetricRow(_AGE, ONLINE, float("nan"), 0, breached=True)
        return [row], [_finding("critical", ONLINE, text, window, {})], []
    try:
        check_serveable(settings, store)
    except UnserveableStoreError as error:
        row = MetricRow(_AGE, ONLINE, float("nan"), 0, breached=True)
        return [row], [_finding("critical", ONLINE, f"{error} The service refuses customers.", window, {})], []
    soft, hard = min(limit.soft for limit in limits), min(limit.hard for limit in limits)
    age = max(window.as_of - state.as_of, timedelta())
    row = MetricRow(_AGE, ONLINE, age / _HOUR, 1, limit=soft / _HOUR, breached=age > soft)
    if age <= soft:
        return [row], [], []
    severity: Severity = "critical" if age > hard else "warning"
    refused = "the service refuses them" if age > hard else "the service flags its answers"
    text = (
        f"The online store holds features of {state.as_of:%Y-%m-%d %H:%M} UTC, {age / _HOUR:.0f} hours old, beyond "
        f"{(hard if age > hard else soft) / _HOUR:.0f}: {refused}."
    )
    payload = {"age_hours": age / _HOUR, "soft_hours": soft / _HOUR, "hard_hours": hard / _HOUR}
    return [row], [_finding(severity, ONLINE, text, window, payload)], []


def check_batch_scores(settings: Settings, window: Window, rules: DataRules) -> Judged:
    """The age of the newest batch scores; where nobody ever scored in batches, none are missing."""
    newest = max((kept.as_of for kept in list_score_tables(settings) if kept.as_of <= window.as_of), default=None)
    if newest is None:
        return [], [], []
    age, limit = (window.as_of - newest) / _HOUR, rules.max_scores_age_hours
    row = MetricRow(_AGE, SCORES, age, 1, limit=limit, breached=age > limit)
    if age <= limit:
        return [row], [], []
    text = f"The newest batch scores are of {newest:%Y-%m-%d %H:%M} UTC, {age:.0f} hours old; the limit is {limit:g}."
    return [row], [_finding("warning", SCORES, text, window, {"age_hours": age, "limit": limit})], []


def check_champion(settings: Settings, window: Window, rules: DataRules) -> Judged:
    """The age of the champion: days from the moment it was trained as of to ``as_of``.

    Not since its promotion: what happened after its training it does not know, however late it came to serve.
    """
    try:
        with fail_fast_env():
            champion = RegistryClient(settings.mlflow_tracking_uri).get_by_alias(CHAMPION)
    except NoSuchAliasError:
        return [], [], []
    except RegistryUnavailableError as error:  # the other checks of the view do not need it
        return [], [], [f"The age of the champion is not known: {error}"]
    trained = champion.tags.get("holdfast.as_of")
    if trained is None:
        return [], [], [f"The champion, version {champion.number}, was not registered by training: of no known age."]
    moment, limit = as_utc(datetime.fromisoformat(trained)), rules.max_champion_age_days
    age = max(window.as_of - moment, timedelta()) / _DAY
    row = MetricRow("age_days", CHAMPION, age, 1, champion.number, limit=limit, breached=age > limit)
    if age <= limit:
        return [row], [], []
    text = (
        f"The champion, version {champion.number}, was trained as of {moment:%Y-%m-%d}, {age:.0f} days ago; the limit "
        f"is {limit:g}. No later version has followed it."
    )
    payload = {"version": champion.number, "trained_as_of": moment.isoformat(), "age_days": age, "limit": limit}
    return [row], [_finding("warning", CHAMPION, text, window, payload)], []


def _finding(severity: Severity, subject: str, text: str, window: Window, payload: dict[str, Any]) -> Finding:
    return Finding(
        event="holdfast.freshness.breached",
        severity=severity,
        subject=subject,
        summary=text,
        payload=payload | {"as_of": window.as_of.isoformat()},
    )
