"""What a backtest is to do: the moments it stops at, what it may know there, and under which settings."""

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
from holdfast.ingestion.batches import end_of_data, list_batches
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.lineage import Utc
from holdfast.training.settings import TrainingSettings

StepInterval = Literal["month", "week"]

_ROOT = Path(__file__).resolve().parents[2]


class BadWindowError(HoldfastError):
    """The window of a backtest makes no sense."""


class BacktestPlan(BaseModel):
    """A backtest but for the policy.

    Nothing at or after a step is known there. Beyond that, ``assumed`` is None where batches arrived while it
    happened: what had not arrived by the step was not known either. Where history was imported at once, years later,
    it is one arrival time for all steps. ``arrived`` is the arrival of the latest batch: outcomes are as known then.
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
    horizon_days: int
    activity_days: int
    code: str

    def known_at(self, step: datetime) -> datetime:
        """The arrival time up to which data count at ``step``."""
        return self.assumed or step

    @property
    def key(self) -> str:
        """SHA-256 of everything a result depends on: results of the same key can be compared."""
        return sha256(self.model_dump_json())


class BacktestJob(BaseModel):
    """A plan and the policy that walks it: what a process is told."""

    model_config = ConfigDict(frozen=True)

    plan: BacktestPlan
    policy: Policy


def list_step_times(start: datetime, end: datetime, every: StepInterval) -> tuple[datetime, ...]:
    """``start`` and every month or week after it up to ``end``, which counts. A short month ends a day early.

    Raises:
        BadWindowError: ``start`` is after ``end``.
    """
    if start > end:
        raise BadWindowError(f"--from {start:%Y-%m-%d} is after --to {end:%Y-%m-%d}: a backtest walks forward.")
    found: list[datetime] = []
    while (moment := _moment(start, len(found), every)) <= end:
        found.append(moment)
    return tuple(found)


def make_plan(
    settings: Settings,
    start: datetime,
    end: datetime,
    every: StepInterval,
    known_at: datetime | None,
    training: TrainingSettings,
    thresholds: GateSettings,
    rules: PolicySettings,
) -> BacktestPlan:
    """The plan of a backtest on a data folder.

    ``known_at`` is assumed for all steps; in a folder that replays a historical data set, unasked. The search of a
    training ends by its number of trials, never by time: a busy machine must not change a result.

    Raises:
        BadWindowError: ``start`` is after ``end``, or a step after the data.
        NoDataError: Nothing was known at ``start``.
    """
    moments, batches = list_step_times(start, end, every), list_batches(settings)
    arrived = max((batch.ingested_at for batch in batches), default=start)
    assumed = known_at or (arrived if (settings.data / REPLAY_MARKER).exists() else None)
    try:
        effective_known_at(batches, start, assumed or start)
    except NoDataError as error:
        hint = " If history was imported at once, say so: --known-at with a time after the import."
        raise NoDataError(f"{error}{'' if assumed else hint}") from error
    data_end = end_of_data(batches)
    assert data_end is not None  # something was known
    if moments[-1] > data_end:
        raise BadWindowError(
            f"--to {end:%Y-%m-%d}: the step of {moments[-1]:%Y-%m-%d} comes after the data, whose last day is "
            f"{data_end - timedelta(days=1):%Y-%m-%d}. Choose an earlier --to, or ingest newer data."
        )
    unhurried = training.search.model_copy(update={"seconds": 86_400.0})
    return BacktestPlan(
        steps=moments,
        every=every,
        assumed=assumed,
        arrived=arrived,
        batches=tuple(batch.batch_id for batch in batches),
        training=training.model_copy(update={"search": unhurried}),
        thresholds=thresholds,
        rules=rules,
        horizon_days=settings.horizon_days,
        activity_days=settings.activity_days,
        code=_code(),
    )


def _moment(start: datetime, number: int, every: StepInterval) -> datetime:
    if every == "week":
        return start + timedelta(weeks=number)
    month = start.month - 1 + number
    year, month = start.year + month // 12, month % 12 + 1
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1]))


def _code() -> str:
    files = [
        path for package in ("feature_repo", "holdfast", "flows") for path in sorted((_ROOT / package).rglob("*.py"))
    ]
    return sha256(
        "\n".join([*(strip_formatting(path.read_text()) for path in files), (_ROOT / "requirements.lock").read_text()])
    )
