"""Settings of monitoring: windows and limits."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from holdfast.training.settings import ValueSettings

CohortPeriod = Literal["month", "week", "day"]
_FROZEN = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DataQualityRules(BaseModel):
    """Limits of the data quality view: late, missing, malformed or shifted transactions, and stale results."""

    model_config = _FROZEN

    alpha: float = Field(
        default=0.001, gt=0, lt=1, description="Probability of a false alarm per run, all tests of the view (Holm)."
    )
    due_hours: float = Field(
        default=3,
        ge=0,
        description="Hours after midnight UTC at which the transactions of a day are due; in a replay, they are due at "
        "midnight.",
    )
    weeks: int = Field(default=8, ge=2, description="Weeks of history that the volume of a day is predicted from.")
    min_days: int = Field(default=14, ge=14, description="Minimum days of history to check the volume.")
    min_rows: int = Field(default=10, ge=2, description="Minimum rows to check shares and distributions.")
    max_age_hours: float = Field(
        default=48, gt=0, description="Age of the newest transaction above which missing transactions are critical."
    )
    max_delay_hours: float = Field(default=48, gt=0, description="Delay above which a transaction is late.")
    ended: tuple[str, ...] = Field(
        default=(),
        description="Sources, attributes and kinds of event that ended on purpose, such as events[ticket]: missing "
        "rows of them are no finding.",
    )
    max_late_share: float = Field(default=0.05, ge=0, le=1, description="Maximum share of late transactions.")
    min_share: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Minimum change of a share (quarantined rows, missing values, returns) to report.",
    )
    min_shift: float = Field(
        default=0.1, ge=0, le=1, description="Minimum distance of two distributions to report (Kolmogorov-Smirnov)."
    )
    max_scores_age_hours: float = Field(default=36, gt=0, description="Maximum age of the newest batch scores.")
    max_champion_age_days: float = Field(
        default=100,
        gt=0,
        description="Maximum days since the champion was trained: a horizon of 90 days plus a weekly training. At that "
        "age the outcomes of the first customers that the champion scored are available for training.",
    )
    max_training_ratio: float = Field(
        default=3, gt=1, description="Maximum ratio of the newest training's CPU time to the median of earlier ones."
    )


class DriftRules(BaseModel):
    """Limits of the drift view: inputs and scores that differ from both references of a version."""

    model_config = _FROZEN

    max_psi: float = Field(default=0.25, gt=0, description="PSI from which a feature has drifted.")
    noted_psi: float = Field(default=0.1, gt=0, description="PSI from which a feature is shown as moving, no alarm.")
    alpha: float = Field(
        default=0.01, gt=0, lt=1, description="Probability of a false alarm per run, all features together (Holm)."
    )
    min_rows: int = Field(default=200, ge=20, description="Minimum customers of a version to check its drift.")


class SkewRules(BaseModel):
    """Limits of the skew view: logged features that differ from recomputed features."""

    model_config = _FROZEN

    max_delay_hours: float = Field(
        default=3,
        ge=0,
        description="Hours after midnight UTC in which features of the day before may be served. Set 168 or more if "
        "features are materialized weekly.",
    )
    report_rows: int = Field(
        default=5000, ge=100, description="Predictions whose distributions Evidently's report compares."
    )


class PerformanceRules(BaseModel):
    """Limits of the performance view: model performance on matured cohorts."""

    model_config = _FROZEN

    cohorts: int = Field(default=24, ge=1, description="Months of cohorts to measure, latest first.")
    every: CohortPeriod = Field(
        default="month", description="Period of which the first score table is measured as a cohort."
    )
    min_rows: int = Field(default=50, ge=2, description="Minimum customers to measure a cohort.")
    resamples: int = Field(default=500, ge=50, description="Bootstrap resamples behind each 95% interval.")
    seed: int = Field(default=0, description="Seed of the bootstrap.")
    value: ValueSettings = Field(
        default=ValueSettings(), description="Cost and value of an offer; use the values of training to compare."
    )


class MonitorSettings(BaseModel):
    """Window length, limits of the views and retention of reports."""

    model_config = _FROZEN

    window_days: float = Field(default=1, gt=0, description="Length of the window before as_of, in days.")
    keep_reports_days: int = Field(default=90, ge=1, description="Days after which Evidently's reports are removed.")
    data: DataQualityRules = Field(default=DataQualityRules(), description="The data quality view.")
    drift: DriftRules = Field(default=DriftRules(), description="The drift view.")
    skew: SkewRules = Field(default=SkewRules(), description="The skew view.")
    outcome: PerformanceRules = Field(default=PerformanceRules(), description="The performance view.")
