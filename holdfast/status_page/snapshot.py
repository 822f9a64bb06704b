"""All sections of the page together."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from feature_repo.settings import Settings, load_settings
from holdfast.runtime.endpoints import EndpointSettings, load_endpoint_settings
from holdfast.status_page import sources
from holdfast.status_page.flow_runs import list_deployments
from holdfast.status_page.health import check_components
from holdfast.status_page.models import load_models
from holdfast.status_page.schemas import (
    AlertStatus,
    ComponentStatus,
    DeploymentStatus,
    FreshnessStatus,
    ModelStatus,
    ParityStatus,
    ScoresStatus,
    ViewStatus,
)
from holdfast.status_page.sections import Section, load_section

CACHE_SECONDS = 3.0


class SystemStatus(BaseModel):
    """How everything stood at ``at``."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    data: str
    parts: Section[list[ComponentStatus]]
    models: Section[ModelStatus]
    freshness: Section[FreshnessStatus]
    parity: Section[ParityStatus]
    scores: Section[ScoresStatus | None]
    views: Section[list[ViewStatus]]
    alerts: Section[list[AlertStatus]]
    runs: Section[list[DeploymentStatus]]

    @property
    def colour(self) -> Literal["good", "warning", "bad"]:
        """The worst of it: what is critical, wrong or does not answer; what is a warning or unknown."""
        severities = {alert.severity for alert in self.alerts.value or []}
        down = any(part.state == "down" for part in self.parts.value or [])
        age = self.freshness.value.state if self.freshness.value else "unknown"
        wrong = self.parity.value is not None and self.parity.value.mismatches > 0
        if "critical" in severities or down or wrong or age == "too old":
            return "bad"
        sections = (self.models, self.freshness, self.parity, self.views, self.alerts, self.runs)
        unknown = any(item.error for item in sections) or any(part.state != "up" for part in self.parts.value or [])
        return "warning" if "warning" in severities or unknown or age != "fresh" else "good"


def load_system_status(settings: Settings, places: EndpointSettings, at: datetime) -> SystemStatus:
    """Ask every source; one that fails says so in its section and spoils no other."""
    return SystemStatus(
        at=at,
        data=str(settings.data),
        parts=load_section(lambda: check_components(places)),
        models=load_section(lambda: load_models(settings, places)),
        freshness=load_section(lambda: sources.load_freshness(settings)),
        parity=load_section(lambda: sources.load_parity_status(settings)),
        scores=load_section(lambda: sources.load_scores(settings)),
        views=load_section(lambda: sources.load_views(settings)),
        alerts=load_section(lambda: sources.load_alerts(settings)),
        runs=load_section(lambda: list_deployments(places)),
    )


class CachedStatus:
    """The standing of a few seconds ago, so that many pages cost no more than one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._clock = threading.Lock(), clock
        self._found: tuple[float, SystemStatus] | None = None

    def __call__(self) -> SystemStatus:
        with self._lock:
            if self._found is None or self._clock() - self._found[0] > CACHE_SECONDS:
                now = load_system_status(load_settings(), load_endpoint_settings(), datetime.now(UTC))
                self._found = self._clock(), now
            return self._found[1]
