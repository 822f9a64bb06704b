"""Results of a backtest: schema of ``POLICY.json``, reading and writing."""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from holdfast.backtesting.plan import StepInterval
from holdfast.backtesting.policies import Policy
from holdfast.core.atomic_files import replace_file
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models.declaration import CHURN
from holdfast.training.evaluation_report import Interval


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class StepTraining(_Record):
    """Training at a step. ``version`` is None if history was too short; ``problem`` has the reason."""

    version: str | None = None
    chosen: str = ""
    gates_failed: list[str] = []
    promoted: bool = False
    problem: str = ""


class InputDrift(_Record):
    """PSI of a model input, or of "score", against the champion's training rows."""

    name: str
    psi: float


class CohortOutcome(_Record):
    """Performance on the cohort of one step, as known at the end.

    Attributes:
        base_rate: Share of churned customers; of a regression the mean outcome.
        measures: ``roc_auc``, ``brier``, ``ece``, ``bias`` and ``earned`` of ``measure_performance``, where defined.
    """

    as_of: datetime
    matured_at: datetime
    customers: int
    base_rate: float
    measures: dict[str, Interval]


class BacktestStep(_Record):
    """Decision and scoring of a policy at one time.

    Attributes:
        as_of: Time of the step.
        matured: Earlier cohorts that have matured since the previous step.
        train: Decision of the policy.
        why: Reason of the decision.
        training: None without a training.
        champion: Version that scored; None without a champion.
        champion_as_of: ``as_of`` of the training of the champion.
        customers: Number of scored customers; 0 without a champion.
        mean_score: Mean prediction.
        drift: PSI that the policy used.
        seconds: Duration of the step.
        outcome: Joined at the end of the backtest; None if the cohort has not matured.
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
    """Mean over cohorts, all with the same weight; ``rows`` is the total number of customers."""

    cohorts: int
    rows: int
    measures: dict[str, Interval]


class PolicyDifference(_Record):
    """Difference between two policies on the cohorts that both scored, on the same resamples of customers."""

    cohorts: int
    measures: dict[str, Interval]


class BacktestResult(_Record):
    """Result of one policy over the whole window.

    Attributes:
        policy: Name of the policy.
        model: Name of the model's declaration.
        start: First step.
        end: Last step.
        every: Distance of the steps.
        thresholds: Thresholds of the gates.
        key: SHA-256 of all that the result depends on: results of the same key are comparable.
        steps: All steps, oldest first.
        overall: Mean over the matured cohorts; None without one.
        over: This policy minus each other policy with a result of the same key.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    policy: Policy
    model: str = CHURN
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
        """Return the known outcomes."""
        return [step.outcome for step in self.steps if step.outcome is not None]

    @property
    def trained(self) -> int:
        """Return the number of trained versions."""
        return sum(step.training is not None and step.training.version is not None for step in self.steps)

    @property
    def promoted(self) -> list[datetime]:
        """Return the times of promotions."""
        return [step.as_of for step in self.steps if step.training is not None and step.training.promoted]

    @property
    def refused(self) -> list[datetime]:
        """Return the times of trainings whose version was not promoted."""
        return [
            step.as_of
            for step in self.steps
            if step.training is not None and step.training.version is not None and not step.training.promoted
        ]


_STEPS = TypeAdapter(list[BacktestStep])


def write_steps(steps: list[BacktestStep], path: Path) -> None:
    """Write the steps of a policy, atomically.

    Args:
        steps: All steps.
        path: File.
    """
    with replace_file(path) as temporary:
        temporary.write_bytes(_STEPS.dump_json(steps, indent=2))


def read_steps(path: Path) -> list[BacktestStep]:
    """Read the steps of a policy.

    Args:
        path: File that :func:`write_steps` wrote.

    Returns:
        All steps.
    """
    return _STEPS.validate_json(path.read_bytes())


def write_result(result: BacktestResult, path: Path) -> None:
    """Write the result as JSON, atomically.

    Args:
        result: Result of a policy.
        path: File.
    """
    with replace_file(path) as temporary:
        temporary.write_text(result.model_dump_json(indent=2) + "\n")


def read_result(path: Path, key: str) -> BacktestResult | None:
    """Read a result.

    Args:
        path: File that :func:`write_result` wrote.
        key: Key of the plan.

    Returns:
        The result; None if the file is missing, has another schema, or another key.
    """
    try:
        result = BacktestResult.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):  # an earlier schema is not comparable either
        return None
    return result if result.key == key else None
