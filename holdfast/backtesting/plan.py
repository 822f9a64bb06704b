"""Plan of a backtest: steps, known data, settings."""

from calendar import monthrange
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from feature_repo.settings import REPLAY_MARKER, Settings
from feature_repo.source_hash import sha256, strip_formatting
from holdfast.backtesting.policies import Policy
from holdfast.backtesting.settings import PolicySettings
from holdfast.core.errors import HoldfastError
from holdfast.feature_store.snapshots import NoDataError, effective_known_at
from holdfast.ingestion.batches import list_batches
from holdfast.ingestion.history_extent import read_extent
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models.declaration import CHURN, load_declaration
from holdfast.models.label import LabelTerms
from holdfast.training.lineage import Utc
from holdfast.training.settings import TrainingSettings

StepInterval = Literal["month", "week"]

_ROOT = Path(__file__).resolve().parents[2]


class BadWindowError(HoldfastError):
    """The window of a backtest is invalid."""


class BacktestPlan(BaseModel):
    """Backtest without its policy. Events at or after a step are unknown at the step.

    Attributes:
        steps: Times of the decisions.
        every: Distance of the steps.
        assumed: Arrival time up to which data count at every step, for history that was imported at once; None: data
            that had arrived by the step.
        arrived: Arrival of the latest batch; outcomes are computed as known then.
        batches: Ids of all batches.
        training: Settings of the trainings.
        thresholds: Thresholds of the gates.
        rules: Settings of the policies.
        label: Terms of the label.
        model: Name of the model's declaration.
        code: SHA-256 of code and lock file.
    """

    model_config = ConfigDict(frozen=True)

    steps: tuple[Utc, ...]
    every: StepInterval
    assumed: Utc | None
    arrived: Utc
    batches: tuple[str, ...]
    training: TrainingSettings
    thresholds: GateSettings
    rules: PolicySettings
    label: LabelTerms
    code: str
    model: str = CHURN

    def known_at(self, step: datetime) -> datetime:
        """Return the arrival time up to which data count.

        Args:
            step: Time of the step.

        Returns:
            ``assumed``, or the time of the step.
        """
        return self.assumed or step

    @property
    def key(self) -> str:
        """Return the SHA-256 of all that a result depends on: results of the same key are comparable."""
        return sha256(self.model_dump_json())


class BacktestJob(BaseModel):
    """Plan and policy: input of one process."""

    model_config = ConfigDict(frozen=True)

    plan: BacktestPlan
    policy: Policy


def list_step_times(start: datetime, end: datetime, every: StepInterval) -> tuple[datetime, ...]:
    """List the times of the steps. In a month that is too short, the step is on its last day.

    Args:
        start: First step.
        end: Latest possible step.
        every: month or week.

    Returns:
        The times.

    Raises:
        BadWindowError: ``start`` is after ``end``.
    """
    if start > end:
        raise BadWindowError(f"--from {start:%Y-%m-%d} is after --to {end:%Y-%m-%d}. Choose an earlier --from.")
    times: list[datetime] = []
    while (time := _step_time(start, len(times), every)) <= end:
        times.append(time)
    return tuple(times)


def make_plan(
    settings: Settings,
    start: datetime,
    end: datetime,
    every: StepInterval,
    known_at: datetime | None,
    training: TrainingSettings,
    thresholds: GateSettings,
    rules: PolicySettings,
    model: str = CHURN,
) -> BacktestPlan:
    """Create the plan of a backtest on a data folder.

    The hyperparameter search ends by its number of trials, never by time: a busy machine must not change a result.

    Args:
        settings: Name the data folder.
        start: First step.
        end: Latest possible step.
        every: month or week.
        known_at: Arrival time that is assumed at every step; None: the step, or the latest arrival in a folder that
            replays a historical data set.
        training: Settings of the trainings.
        thresholds: Thresholds of the gates.
        rules: Settings of the policies.
        model: Name of the model's declaration.

    Returns:
        The plan.

    Raises:
        BadWindowError: ``start`` is after ``end``, or a step is after the data.
        NoDataError: Nothing was known at ``start``.
    """
    step_times, batches = list_step_times(start, end, every), list_batches(settings)
    arrived = max((batch.ingested_at for batch in batches), default=start)
    assumed = known_at or (arrived if (settings.data / REPLAY_MARKER).exists() else None)
    try:
        effective_known_at(batches, start, assumed or start)
    except NoDataError as error:
        hint = " If history was imported at once, give --known-at with a time after the import."
        raise NoDataError(f"{error}{'' if assumed else hint}") from error
    extent = read_extent(settings)
    assert extent is not None  # effective_known_at found events
    if step_times[-1] > extent.end:
        raise BadWindowError(
            f"--to {end:%Y-%m-%d}: the step of {step_times[-1]:%Y-%m-%d} is after the data, whose last day is "
            f"{extent.end - timedelta(days=1):%Y-%m-%d}. Choose an earlier --to, or ingest newer data."
        )
    untimed_search = training.search.model_copy(update={"seconds": 86_400.0})
    return BacktestPlan(
        steps=step_times,
        every=every,
        assumed=assumed,
        arrived=arrived,
        batches=tuple(batch.batch_id for batch in batches),
        training=training.model_copy(update={"search": untimed_search}),
        thresholds=thresholds,
        rules=rules,
        label=LabelTerms.of(settings, load_declaration(model).label),
        code=_hash_code(),
        model=model,
    )


def _step_time(start: datetime, number: int, every: StepInterval) -> datetime:
    if every == "week":
        return start + timedelta(weeks=number)
    month = start.month - 1 + number
    year, month = start.year + month // 12, month % 12 + 1
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1]))


def _hash_code() -> str:
    files = [
        path for package in ("feature_repo", "holdfast", "flows") for path in sorted((_ROOT / package).rglob("*.py"))
    ]
    return sha256(
        "\n".join([*(strip_formatting(path.read_text()) for path in files), (_ROOT / "requirements.lock").read_text()])
    )
