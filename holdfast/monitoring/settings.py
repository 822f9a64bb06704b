"""What may be set about monitoring."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from holdfast.training.settings import ValueSettings

_FROZEN = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DataRules(BaseModel):
    """When the transactions that arrive are late, few, broken or of another kind."""

    model_config = _FROZEN

    alpha: float = Field(
        default=0.001, gt=0, lt=1, description="False alarms per run, all tests of the view together (Holm)."
    )
    due_hours: float = Field(
        default=3, ge=0, description="A day's transactions are due so long after midnight UTC; in a replay, at once."
    )
    weeks: int = Field(default=8, ge=2, description="A day's volume is predicted from so many weeks before it.")
    min_days: int = Field(default=14, ge=14, description="Days of history below which a volume is not judged.")
    min_rows: int = Field(default=10, ge=2, description="Rows below which shares and values are not judged.")
    max_age_hours: float = Field(
        default=48, gt=0, description="Missing transactions are critical once the newest one is older than this."
    )
    max_delay_hours: float = Field(default=48, gt=0, description="A transaction that arrives later than this is late.")
    max_late_share: float = Field(default=0.05, ge=0, le=1, description="Share of the arrivals that may be late.")
    min_share: float = Field(
        default=0.02, ge=0, le=1, description="Rise of a share (rows refused, values missing, returns) that matters."
    )
    min_shift: float = Field(
        default=0.1, ge=0, le=1, description="Distance of two distributions that matters (Kolmogorov-Smirnov)."
    )
    max_scores_age_hours: float = Field(default=36, gt=0, description="The newest batch scores may be so old.")
    max_champion_age_days: float = Field(
        default=100,
        gt=0,
        description="So long ago the champion may have been trained: a horizon of 90 days and a weekly training. By "
        "then the outcomes of the first customers it scored were there to learn from.",
    )
    max_training_ratio: float = Field(
        default=3, gt=1, description="Processor time of the newest training over the median of those before, at most."
    )


class DriftRules(BaseModel):
    """When what the model reads, or says, has moved away from what it knows."""

    model_config = _FROZEN

    max_psi: float = Field(default=0.25, gt=0, description="PSI from which a feature has drifted.")
    noted_psi: float = Field(default=0.1, gt=0, description="PSI from which it is shown as moving; no alarm.")
    alpha: float = Field(
        default=0.01, gt=0, lt=1, description="False alarms per run, all features together (Holm), if none drifted."
    )
    min_rows: int = Field(default=200, ge=20, description="Customers below which drift is not judged.")


class SkewRules(BaseModel):
    """When logged features differ from those recomputed."""

    model_config = _FROZEN

    max_delay_hours: float = Field(
        default=3,
        ge=0,
        description="After midnight UTC, the features of the day before may serve for so many hours. A shop that "
        "materialises weekly sets 168 and more.",
    )
    report_rows: int = Field(
        default=5000, ge=100, description="Evidently's report compares the distributions of so many predictions."
    )


class OutcomeRules(BaseModel):
    """When quality has dropped."""

    model_config = _FROZEN

    cohorts: int = Field(default=24, ge=1, description="Only the cohorts of the latest so many months are measured.")
    every: Literal["month", "week", "day"] = Field(
        default="month", description="Of the tables of scores, the first of each so long is a cohort."
    )
    min_rows: int = Field(default=50, ge=2, description="Customers below which a cohort is not measured.")
    resamples: int = Field(default=500, ge=50, description="Bootstrap resamples behind each 95% interval.")
    seed: int = Field(default=0, description="Seed of the bootstrap.")
    value: ValueSettings = Field(
        default=ValueSettings(), description="What an offer costs and brings; that of training, so that both compare."
    )


class MonitorSettings(BaseModel):
    """Windows, limits and how long reports are kept."""

    model_config = _FROZEN

    window_days: float = Field(default=1, gt=0, description="A run looks at so many days before its as_of.")
    keep_reports_days: int = Field(default=90, ge=1, description="Evidently's reports are removed after so many days.")
    data: DataRules = Field(default=DataRules(), description="The data view.")
    drift: DriftRules = Field(default=DriftRules(), description="The drift view.")
    skew: SkewRules = Field(default=SkewRules(), description="The skew view.")
    outcome: OutcomeRules = Field(default=OutcomeRules(), description="The outcome view.")
