"""What the online store holds, what was scored, what monitoring measured, and what is alarming."""

import math
from datetime import UTC, datetime
from typing import Any, get_args

from feature_repo.settings import Settings
from holdfast.alerting.links import artifact_url
from holdfast.monitoring.findings import View
from holdfast.status_page.schemas import (
    AlertStatus,
    FreshnessStatus,
    LimitBreach,
    ParityStatus,
    ScoresStatus,
    ViewStatus,
)

_SHOWN_BREACHES = 8


def load_freshness(settings: Settings) -> FreshnessStatus:
    """The age of the online store at the time that counts as now: with a clock that replays data, theirs."""
    from holdfast.feature_store.feast_registry import collect_definitions
    from holdfast.feature_store.materialization import load_online_state
    from holdfast.ingestion.as_of import resolve_as_of

    held, now = load_online_state(settings), resolve_as_of(None, settings, datetime.now(UTC))
    load_views = collect_definitions().feature_views
    soft = min(float(view.tags["soft_limit_hours"]) for view in load_views)
    hard = min((view.ttl.total_seconds() / 3600 for view in load_views if view.ttl), default=math.inf)
    age = max(0.0, (now - held.as_of).total_seconds() / 3600) if held else None
    return FreshnessStatus(
        now=now,
        as_of=held.as_of if held else None,
        known_at=held.known_at if held else None,
        age_hours=age,
        soft_hours=soft,
        hard_hours=hard,
        state="unknown" if age is None else "too old" if age > hard else "stale" if age > soft else "fresh",
    )


def load_parity_status(settings: Settings) -> ParityStatus:
    """The last comparison.

    Raises:
        NoParityError: There is none since the store was last written to.
    """
    from holdfast.feature_store.parity import load_parity

    found = load_parity(settings)
    return ParityStatus(as_of=found.as_of, values_compared=found.values_compared, mismatches=found.mismatches)


def load_scores(settings: Settings) -> ScoresStatus | None:
    """The latest table of scores that holds; None: nothing was scored."""
    from holdfast.batch_scoring.score_store import count_customers, list_score_tables

    current = [item for item in list_score_tables(settings) if item.current]
    if not current:
        return None
    last = current[-1]
    found = count_customers(last.path, ["active", "will_churn"])
    return ScoresStatus(
        as_of=last.as_of,
        known_at=last.known_at,
        version=last.model_version,
        customers=sum(found.values()),
        active=found.get((True, True), 0) + found.get((True, False), 0),
        churning=found.get((True, True), 0),
        path=str(last.path),
    )


def load_views(settings: Settings) -> list[ViewStatus]:
    """The last run of each view of monitoring."""
    return [_view(settings, view) for view in get_args(View)]


def load_alerts(settings: Settings) -> list[AlertStatus]:
    """Those that are open, worst first."""
    from holdfast.alerting.outbox import list_open_alerts

    if not settings.alerts.exists():  # asking would create it
        return []
    return [
        AlertStatus(
            severity=alert.severity,
            title=alert.title,
            text=alert.text,
            since=alert.opened,
            count=alert.count,
            evidence=alert.evidence,
            runbook=alert.runbook,
        )
        for alert in list_open_alerts(settings)
    ]


def _view(settings: Settings, view: View) -> ViewStatus:
    from holdfast.monitoring.metrics_store import read_latest_metrics

    found, page = read_latest_metrics(settings, view), artifact_url(f"monitor-{view}")
    if found.empty:
        return ViewStatus(view=view, as_of=None, measured=0, breaches=[], breached=0, page=page)
    breached = found[found["breached"]]
    breaches = [
        LimitBreach(
            metric=str(row.metric),
            subject=str(row.subject),
            version=str(row.version),
            value=_number(row.value),
            limit=_number(row.limit),
            rows=int(str(row.rows)),
        )
        for row in breached.head(_SHOWN_BREACHES).itertuples()
    ]
    as_of = found["as_of"].iloc[0].to_pydatetime()
    held = found["limit"].notna() | found["low"].notna()  # against something: the rest only counts
    measured = int((((found["rows"] > 0) & held) | found["breached"]).sum())
    return ViewStatus(view=view, as_of=as_of, measured=measured, breaches=breaches, breached=len(breached), page=page)


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
