"""All sections of the page together."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from feature_repo.settings import Settings, load_settings
from holdfast.runtime.endpoints import Places, load_places
from holdfast.status_page import sources
from holdfast.status_page.flow_runs import runs
from holdfast.status_page.health import parts
from holdfast.status_page.models import models
from holdfast.status_page.schemas import (
    AlertFacts,
    FreshnessFacts,
    ModelFacts,
    ParityFacts,
    PartFacts,
    RunFacts,
    ScoresFacts,
    ViewFacts,
)
from holdfast.status_page.sections import Section, section

KEPT_SECONDS = 3.0


class Standing(BaseModel):
    """How everything stood at ``at``."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    data: str
    parts: Section[list[PartFacts]]
    models: Section[ModelFacts]
    freshness: Section[FreshnessFacts]
    parity: Section[ParityFacts]
    scores: Section[ScoresFacts | None]
    views: Section[list[ViewFacts]]
    alerts: Section[list[AlertFacts]]
    runs: Section[list[RunFacts]]

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


def standing(settings: Settings, places: Places, at: datetime) -> Standing:
    """Ask every source; one that fails says so in its section and spoils no other."""
    return Standing(
        at=at,
        data=str(settings.data),
        parts=section(lambda: parts(places)),
        models=section(lambda: models(settings, places)),
        freshness=section(lambda: sources.freshness(settings)),
        parity=section(lambda: sources.parity(settings)),
        scores=section(lambda: sources.scores(settings)),
        views=section(lambda: sources.views(settings)),
        alerts=section(lambda: sources.alerts(settings)),
        runs=section(lambda: runs(places)),
    )


class Kept:
    """The standing of a few seconds ago, so that many pages cost no more than one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._clock = threading.Lock(), clock
        self._found: tuple[float, Standing] | None = None

    def __call__(self) -> Standing:
        with self._lock:
            if self._found is None or self._clock() - self._found[0] > KEPT_SECONDS:
                now = standing(load_settings(), load_places(), datetime.now(UTC))
                self._found = self._clock(), now
            return self._found[1]
