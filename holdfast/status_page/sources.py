"""Sections from the data folder: features, parity, scores, monitoring, alerts."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from feature_repo.settings import Settings
from holdfast.alerting.outbox import list_open_alerts
from holdfast.ingestion.as_of import resolve_as_of
from holdfast.monitoring.findings import View
from holdfast.runtime.endpoints import artifact_url
from holdfast.status_page.status_models import (
    AlertStatus,
    FreshnessStatus,
    LimitBreach,
    ParityStatus,
    ScoresStatus,
    SourceStatus,
    ViewStatus,
)

_SHOWN_BREACHES = 8


def load_definitions(settings: Settings) -> list[str]:
    """List the versions of the feature definitions that the served models need.

    Args:
        settings: Names the data folder and the registry.

    Returns:
        Ids, that of the champion first.
    """
    from holdfast.model_versions.definitions_in_use import list_served_definitions

    return list_served_definitions(settings)


def load_freshness(settings: Settings, versions: Sequence[str]) -> list[FreshnessStatus]:
    """Compute the age of the online features at the logical time (``HOLDFAST_CLOCK``).

    Args:
        settings: Names the data folder and the clock.
        versions: Ids of the versions of the feature definitions.

    Returns:
        The age and its limits by version.
    """
    if not versions:
        return []
    now = resolve_as_of(None, settings, datetime.now(UTC))
    return [_freshness(settings, version, now) for version in versions]


def load_parity(settings: Settings, versions: Sequence[str]) -> list[ParityStatus]:
    """Read the latest parity reports.

    Args:
        settings: Names the data folder.
        versions: Ids of the versions of the feature definitions.

    Returns:
        Their counts by version; a version without a report since its last materialization has a problem.
    """
    from holdfast.feature_store.parity import MissingParityError, load_parity

    found = []
    for version in versions:
        try:
            report = load_parity(settings, version)
        except MissingParityError as error:
            found.append(ParityStatus(version=version, problem=str(error)))
            continue
        counts = {"values_compared": report.values_compared, "mismatches": report.mismatches}
        found.append(ParityStatus(version=version, as_of=report.as_of, **counts))
    return found


def load_scores(settings: Settings) -> ScoresStatus | None:
    """Count the customers of the latest current score table.

    Args:
        settings: Names the data folder.

    Returns:
        The counts; None if no table is current.
    """
    from holdfast.batch_scoring.score_store import count_decisions, list_score_tables, sum_value_at_risk

    current = [table for table in list_score_tables(settings) if table.current]
    if not current:
        return None
    latest = current[-1]
    customers, active, churning = count_decisions(latest.path)
    return ScoresStatus(
        as_of=latest.as_of,
        known_at=latest.known_at,
        version=latest.model_version,
        customers=customers,
        active=active,
        churning=churning,
        value_at_risk=sum_value_at_risk(latest.path),
        path=str(latest.path),
    )


def load_views(settings: Settings) -> list[ViewStatus]:
    """Read the latest metrics of each monitoring view.

    Args:
        settings: Names the data folder.

    Returns:
        All views, with or without metrics.
    """
    return [_view_status(settings, view) for view in get_args(View)]


def load_sources(settings: Settings) -> list[SourceStatus]:
    """Read the age of the newest row of each source from the latest metrics of the data quality view.

    Args:
        settings: Names the data folder.

    Returns:
        Sources by name; none before the first monitoring.
    """
    from holdfast.ingestion.kinds import KINDS
    from holdfast.monitoring.metrics_store import read_latest_metrics

    metrics = read_latest_metrics(settings, "data")
    tables = metrics["subject"].astype(str).str.partition("[")[0] if len(metrics) else metrics["subject"]
    metrics = metrics[tables.isin(KINDS)].set_index("subject")
    rows = metrics[metrics["metric"] == "rows"]
    counts, late = rows["value"].to_dict(), rows["breached"].to_dict()
    ages = metrics.loc[metrics["metric"] == "age_hours", "value"].to_dict()
    return [
        SourceStatus(source=str(source), age_hours=age, rows=counts.get(source), late=late.get(source, False))
        for source, age in sorted(ages.items())
    ]


def load_alerts(settings: Settings) -> list[AlertStatus]:
    """Read the open alerts.

    Args:
        settings: Names the outbox, which is not created.

    Returns:
        The alerts, worst first.
    """
    if not settings.database and not settings.alerts.exists():
        return []
    return [AlertStatus(since=alert.opened, **alert.model_dump()) for alert in list_open_alerts(settings)]


def _freshness(settings: Settings, version: str, now: datetime) -> FreshnessStatus:
    from holdfast.feature_store.definition_versions import open_version
    from holdfast.feature_store.materialization import load_online_state
    from holdfast.feature_store.missing_versions import MissingVersionError
    from holdfast.models.contract import freshness_limits

    try:
        limits = freshness_limits(open_version(settings, version)).values()
    except MissingVersionError as error:
        return FreshnessStatus(version=version, now=now, state="unknown", problem=str(error))
    online = load_online_state(settings, version)
    hour = timedelta(hours=1)
    soft, hard = min(limit.soft for limit in limits) / hour, min(limit.hard for limit in limits) / hour
    age = max(0.0, (now - online.as_of) / hour) if online else None
    return FreshnessStatus(
        version=version,
        now=now,
        as_of=online.as_of if online else None,
        known_at=online.known_at if online else None,
        age_hours=age,
        soft_hours=soft,
        hard_hours=hard,
        state="unknown" if age is None else "expired" if age > hard else "stale" if age > soft else "fresh",
    )


def _view_status(settings: Settings, view: View) -> ViewStatus:
    from holdfast.monitoring.metrics_store import read_latest_metrics

    metrics, page = read_latest_metrics(settings, view), artifact_url(f"monitor-{view}")
    if metrics.empty:
        return ViewStatus(view=view, as_of=None, measured=0, breaches=[], breached=0, page=page)
    breached = metrics[metrics["breached"]]
    has_limit = metrics["limit"].notna() | metrics["low"].notna()  # the other rows are counts
    return ViewStatus(
        view=view,
        as_of=metrics["as_of"].iloc[0].to_pydatetime(),
        measured=int((((metrics["rows"] > 0) & has_limit) | metrics["breached"]).sum()),
        breached=len(breached),
        breaches=[
            LimitBreach(
                metric=str(row.metric),
                subject=str(row.subject),
                version=str(row.version),
                value=_finite(row.value),
                limit=_finite(row.limit),
                rows=int(str(row.rows)),
            )
            for row in breached.head(_SHOWN_BREACHES).itertuples()
        ],
        page=page,
    )


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
