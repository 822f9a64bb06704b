"""System state at one time: all sections of the page."""

import functools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from feature_repo.settings import Settings
from holdfast.runtime.endpoints import EndpointSettings
from holdfast.status_page import sources
from holdfast.status_page.deployments import load_deployments
from holdfast.status_page.health import check_components
from holdfast.status_page.models import load_models
from holdfast.status_page.sections import Section, load_section
from holdfast.status_page.status_models import (
    AlertStatus,
    ComponentStatus,
    DeploymentStatus,
    FreshnessStatus,
    ModelStatus,
    ParityStatus,
    ScoresStatus,
    SourceStatus,
    ViewStatus,
)

CACHE_SECONDS = 3.0


class SystemStatus(BaseModel):
    """State of all components and data at the time ``at``; ``data`` is the data folder, ``models`` by their names."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    at: datetime
    data: str
    components: Section[list[ComponentStatus]] = Field(alias="parts")
    models: dict[str, Section[ModelStatus]]
    freshness: Section[list[FreshnessStatus]]
    parity: Section[list[ParityStatus]]
    scores: Section[ScoresStatus | None]
    sources: Section[list[SourceStatus]]
    views: Section[list[ViewStatus]]
    alerts: Section[list[AlertStatus]]
    deployments: Section[list[DeploymentStatus]] = Field(alias="runs")

    @property
    def level(self) -> Literal["good", "warning", "bad"]:
        """Return the worst level: bad for critical, wrong or down, warning for stale, unknown or not ready."""
        severities = {alert.severity for alert in self.alerts.value or []}
        states = {component.state for component in self.components.value or []}
        freshness = {item.state for item in self.freshness.value or []}
        parity = self.parity.value or []
        wrong = any(item.mismatches for item in parity)
        if "critical" in severities or "down" in states or wrong or "expired" in freshness:
            return "bad"
        sections = (self.freshness, self.parity, self.views, self.alerts, self.deployments)
        errors = [*(section.error for section in self.models.values()), *(section.error for section in sections)]
        unknown = any(errors) or any(item.problem for item in parity)
        attention = "warning" in severities or "not ready" in states
        return "warning" if attention or unknown or freshness != {"fresh"} else "good"


def load_system_status(settings: Settings, endpoints: EndpointSettings, at: datetime) -> SystemStatus:
    """Read every source; one that fails is an error in its section only.

    Args:
        settings: Names the data folder and the registry.
        endpoints: Addresses of the components.
        at: Time of the reading.

    Returns:
        The state.
    """
    definitions = functools.cache(lambda: sources.load_definitions(settings))
    return SystemStatus(
        at=at,
        data=str(settings.data),
        components=load_section(lambda: check_components(endpoints)),
        models=load_models(settings, endpoints),
        freshness=load_section(lambda: sources.load_freshness(settings, definitions())),
        parity=load_section(lambda: sources.load_parity(settings, definitions())),
        scores=load_section(lambda: sources.load_scores(settings)),
        sources=load_section(lambda: sources.load_sources(settings)),
        views=load_section(lambda: sources.load_views(settings)),
        alerts=load_section(lambda: sources.load_alerts(settings)),
        deployments=load_section(lambda: load_deployments(endpoints)),
    )


class CachedStatus:
    """System state that is at most ``CACHE_SECONDS`` old, so that many open pages cost as much as one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._clock = threading.Lock(), clock
        self._cached: tuple[float, SystemStatus] | None = None

    def __call__(self) -> SystemStatus:
        """Return the system state, read again when it is older than ``CACHE_SECONDS``."""
        with self._lock:
            if self._cached is None or self._clock() - self._cached[0] > CACHE_SECONDS:
                status = load_system_status(
                    Settings.from_environment(), EndpointSettings.from_environment(), datetime.now(UTC)
                )
                self._cached = self._clock(), status
            return self._cached[1]
