"""What a backtest leaves: ``POLICY.json``, its schema, and how it is written and read."""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from holdfast.backtesting.plan import StepInterval
from holdfast.backtesting.policies import Policy
from holdfast.core.atomic_files import replace_file
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.evaluation_report import Interval

# What is measured of a cohort, as people know it. A measure that cannot be computed (all churned) is left out.
MEASURES = {
    "roc_auc": "ROC-AUC",
    "brier": "Brier",
    "ece": "calibration error",
    "bias": "predicted less observed churn",
    "earned": "profit per customer",
}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class StepTraining(_Record):
    """A training at a step. ``version`` is None, and ``problem`` says why, where there was too little history."""

    version: str | None = None
    chosen: str = ""
    gates_failed: list[str] = []
    promoted: bool = False
    problem: str = ""


class InputDrift(_Record):
    """The PSI of a model input, or of "score", against the champion's training rows."""

    name: str
    psi: float


class CohortOutcome(_Record):
    """What came of the customers of one step, as known at the end; ``measures`` as in MEASURES."""

    as_of: datetime
    matured_at: datetime
    customers: int
    base_rate: float
    measures: dict[str, Interval]


class BacktestStep(_Record):
    """What a policy did at one moment, from what it knew then.

    ``matured``: the earlier cohorts whose outcomes had become known since the step before. ``champion_as_of``: the
    moment that the champion was trained at. ``customers`` is 0 where there was no champion to score them. ``outcome``
    was not known then: it is joined at the end, and None where it is not known even now.
    """

    as_of: datetime
    matured: list[datetime]
    train: bool
    why: str
    training: StepTraining | None
    champion: str | None
    champion_as_of: datetime | None
    customers: int
    mean_score: float | None
    drift: list[InputDrift]
    seconds: float
    outcome: CohortOutcome | None = None


class CohortMeans(_Record):
    """The mean over several cohorts, each of which counts the same; ``rows`` are their customers in all."""

    cohorts: int
    rows: int
    measures: dict[str, Interval]


class PolicyDifference(_Record):
    """A policy less another on the cohorts that both scored, on the same resamples of customers."""

    cohorts: int
    measures: dict[str, Interval]


class BacktestResult(_Record):
    """One policy over the whole window.

    ``key`` names everything that it depends on: results of one key are comparable. ``overall`` is None where no
    cohort has matured. ``over``: this policy less each other one that has a result of the same key.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    policy: Policy
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    every: StepInterval
    thresholds: GateSettings
    key: str
    steps: list[BacktestStep]
    overall: CohortMeans | None
    over: dict[Policy, PolicyDifference]

    @property
    def outcomes(self) -> list[CohortOutcome]:
        """Those that are known."""
        return [step.outcome for step in self.steps if step.outcome is not None]

    @property
    def trained(self) -> int:
        """How many versions it trained."""
        return sum(step.training is not None and step.training.version is not None for step in self.steps)

    @property
    def promoted(self) -> list[datetime]:
        """When a new champion took over."""
        return [step.as_of for step in self.steps if step.training is not None and step.training.promoted]

    @property
    def refused(self) -> list[datetime]:
        """When a version was trained and did not pass."""
        return [
            step.as_of
            for step in self.steps
            if step.training is not None and step.training.version is not None and not step.training.promoted
        ]


_STEPS = TypeAdapter(list[BacktestStep])


def write_steps(steps: list[BacktestStep], path: Path) -> None:
    """Write the steps of a finished walk, as a whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_bytes(_STEPS.dump_json(steps, indent=2))


def read_steps(path: Path) -> list[BacktestStep]:
    """Read what ``write_steps`` wrote."""
    return _STEPS.validate_json(path.read_bytes())


def write_result(result: BacktestResult, path: Path) -> None:
    """Write the JSON, as a whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(result.model_dump_json(indent=2) + "\n")


def read_result(path: Path, key: str) -> BacktestResult | None:
    """The result in a file; None where there is none, or none of this key."""
    try:
        result = BacktestResult.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):  # of an earlier schema: it cannot be compared either
        return None
    return result if result.key == key else None
