"""Models of the system state, as the page shows it and ``/state.json`` returns it. Times are in UTC."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from holdfast.monitoring.findings import Severity, View


class _Status(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class ComponentStatus(_Status):
    """Component of a running Holdfast. ``note`` has the reason if it is not up."""

    name: str
    url: str
    state: Literal["up", "not ready", "down"]
    note: str = ""


class MetricInterval(_Status):
    """Metric of a version on its test period, with the 95% interval."""

    metric: str
    value: float
    low: float
    high: float


class ChampionStatus(_Status):
    """Champion.

    Attributes:
        since: None if no promotion is recorded.
        test_metrics: Values and intervals on the test period.
        warnings: Findings of the gates that fail none, such as a level that cannot be known.
        page: URL in MLflow.
    """

    version: str
    since: datetime | None
    test_metrics: list[MetricInterval]
    warnings: list[str] = []
    rollout: str
    page: str


class ChallengerStatus(_Status):
    """Challenger. ``traffic`` and ``rollout`` are texts; ``page``: URL in MLflow."""

    version: str
    traffic: str
    rollout: str
    page: str


class ModelStatus(_Status):
    """Versions that the two aliases name."""

    champion: ChampionStatus | None
    challenger: ChallengerStatus | None


class FreshnessStatus(_Status):
    """Age of the online features of one version of the feature definitions, in hours; ``now`` is the logical time.

    Predictions are flagged beyond ``soft_hours`` and refused beyond ``hard_hours``. A version that is not registered
    has a ``problem`` instead.
    """

    version: str
    now: datetime
    as_of: datetime | None = None
    known_at: datetime | None = None
    age_hours: float | None = None
    soft_hours: float | None = None
    hard_hours: float | None = None
    state: Literal["fresh", "stale", "expired", "unknown"]
    problem: str = ""


class SourceStatus(_Status):
    """Newest row of a table, or of a source of transactions, an attribute or a kind of event, at the last monitoring.

    Attributes:
        source: Subject of the data quality view, such as ``events[ticket]``.
        age_hours: Age of the newest row.
        rows: Rows on the last day that was due; None where it was not counted.
        late: True with fewer rows than expected, or none.
    """

    source: str
    age_hours: float
    rows: int | None
    late: bool


class ParityStatus(_Status):
    """Latest comparison of online values of one version of the feature definitions with point-in-time values."""

    version: str
    as_of: datetime | None = None
    values_compared: int = 0
    mismatches: int = 0
    problem: str = ""


class DeploymentStatus(_Status):
    """Deployment with the last and the next run of its flow.

    Attributes:
        deployment: Name.
        state: State of the last run, "never run" without one.
        type: Prefect's type of that state; empty without a run.
        when: Start of the last run.
        seconds: Duration of the last run, up to now while it runs.
        message: Message of a failed or crashed run.
        next: Scheduled start of the next run.
        page: URL of the last run, or of the deployment.
    """

    deployment: str
    state: str
    type: str
    when: datetime | None
    seconds: float | None
    message: str
    next: datetime | None
    page: str


class LimitBreach(_Status):
    """Measurement beyond its limit."""

    metric: str
    subject: str
    version: str
    value: float | None
    limit: float | None
    rows: int


class ViewStatus(_Status):
    """Latest run of a monitoring view.

    Attributes:
        view: Name.
        as_of: End of the window; None before the first run.
        measured: Number of measurements that were compared with a limit; 0 means that nothing is known.
        breached: Number of these beyond their limit.
        breaches: The first of them.
        page: URL of the artifact in Prefect.
    """

    view: View
    as_of: datetime | None
    measured: int
    breached: int
    breaches: list[LimitBreach]
    page: str


class AlertStatus(_Status):
    """Open alert."""

    severity: Severity
    title: str
    text: str
    since: datetime
    count: int
    evidence_url: str = Field(alias="evidence")
    runbook: str


class ScoresStatus(_Status):
    """Latest table of batch scores. ``churning`` counts active customers: models are trained on no others.

    ``value_at_risk`` is the sum over the active customers, None without a spend model.
    """

    as_of: datetime
    known_at: datetime
    version: str
    customers: int
    active: int
    churning: int
    value_at_risk: float | None = None
    path: str
