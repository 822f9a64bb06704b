"""How everything stands, as the page shows it and ``/state.json`` gives it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from holdfast.monitoring.findings import Severity, View


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True)


class ComponentStatus(_Facts):
    """A part that answers over HTTP. ``note``: what it says of itself if that is not all well."""

    name: str
    url: str
    state: Literal["up", "not ready", "down"]
    note: str = ""


class TestMetric(_Facts):
    """What the test of a version found, with its 95% interval."""

    metric: str
    value: float
    low: float
    high: float


class ChampionStatus(_Facts):
    """Who serves. ``since`` is None where no promotion is recorded; ``rollout`` is how it came there, in words."""

    version: str
    since: datetime | None
    promised: list[TestMetric]
    rollout: str
    page: str


class ChallengerStatus(_Facts):
    """Who is tried out: ``traffic`` and ``rollout`` in words."""

    version: str
    traffic: str
    rollout: str
    page: str


class ModelStatus(_Facts):
    """The two aliases."""

    champion: ChampionStatus | None
    challenger: ChallengerStatus | None


class FreshnessStatus(_Facts):
    """The online store. Ages in hours; beyond ``soft`` answers are flagged, beyond ``hard`` refused."""

    now: datetime
    as_of: datetime | None
    known_at: datetime | None
    age_hours: float | None
    soft_hours: float
    hard_hours: float
    state: Literal["fresh", "stale", "too old", "unknown"]


class ParityStatus(_Facts):
    """The last comparison of online with point-in-time values."""

    as_of: datetime
    values_compared: int
    mismatches: int


class DeploymentStatus(_Facts):
    """A deployment: the last run of its flow, if any, and when its next is due. ``seconds``: so far, if it runs."""

    deployment: str
    state: str
    type: str
    when: datetime | None
    seconds: float | None
    message: str
    next: datetime | None
    page: str


class LimitBreach(_Facts):
    """A measurement beyond its limit."""

    metric: str
    subject: str
    version: str
    value: float | None
    limit: float | None
    rows: int


class ViewStatus(_Facts):
    """The last run of a view of monitoring, with the first of its breaches. Without ``as_of`` it has not run yet.

    ``measured`` is how much was held against a limit, 0 where nothing could be: that all is well is then not known.
    """

    view: View
    as_of: datetime | None
    measured: int
    breached: int
    breaches: list[LimitBreach]
    page: str


class AlertStatus(_Facts):
    """An open alert."""

    severity: Severity
    title: str
    text: str
    since: datetime
    count: int
    evidence: str
    runbook: str


class ScoresStatus(_Facts):
    """The last table of batch scores. ``churning`` is of the ``active`` customers: the model learns from no others."""

    as_of: datetime
    known_at: datetime
    version: str
    customers: int
    active: int
    churning: int
    path: str
