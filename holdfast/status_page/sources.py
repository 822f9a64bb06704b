"""Sections from the data folder: features, parity, scores, monitoring, alerts."""

import math
from datetime import UTC, datetime
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
    ViewStatus,
)

_SHOWN_BREACHES = 8


def load_freshness(settings: Settings) -> FreshnessStatus:
    """Compute the age of the online store at the logical time (``HOLDFAST_CLOCK``).

    Args:
        settings: Names the data folder and the clock.

    Returns:
        The age and its limits.
    """
    from holdfast.feature_store.feast_registry import collect_definitions
    from holdfast.feature_store.materialization import load_online_state

    online, now = load_online_state(settings), resolve_as_of(None, settings, datetime.now(UTC))
    feature_views = collect_definitions().feature_views
    soft = min(float(view.tags["soft_limit_hours"]) for view in feature_views)
    hard = min((view.ttl.total_seconds() / 3600 for view in feature_views if view.ttl), default=math.inf)
    age = max(0.0, (now - online.as_of).total_seconds() / 3600) if online else None
    return FreshnessStatus(
        now=now,
        as_of=online.as_of if online else None,
        known_at=online.known_at if online else None,
        age_hours=age,
        soft_hours=soft,
        hard_hours=hard,
        state="unknown" if age is None else "expired" if age > hard else "stale" if age > soft else "fresh",
    )


def load_parity_status(settings: Settings) -> ParityStatus:
    """Read the latest parity report.

    Args:
        settings: Names the data folder.

    Returns:
        Its counts.

    Raises:
        MissingParityError: There is none since the last materialization.
    """
    from holdfast.feature_store.parity import load_parity

    report = load_parity(settings)
    return ParityStatus(as_of=report.as_of, values_compared=report.values_compared, mismatches=report.mismatches)


def load_scores(settings: Settings) -> ScoresStatus | None:
    """Count the customers of the latest current score table.

    Args:
        settings: Names the data folder.

    Returns:
        The counts; None if no table is current.
    """
    from holdfast.batch_scoring.score_store import count_decisions, list_score_tables

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


def load_alerts(settings: Settings) -> list[AlertStatus]:
    """Read the open alerts.

    Args:
        settings: Names the outbox, which is not created.

    Returns:
        The alerts, worst first.
    """
    if not settings.alerts.exists():
        return []
    return [AlertStatus(since=alert.opened, **alert.model_dump()) for alert in list_open_alerts(settings)]


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
