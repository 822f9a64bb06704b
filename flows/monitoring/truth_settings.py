"""What may be set about the views that compare with the truth: skew and outcomes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from holdfast.training.settings import ValueSettings

_FROZEN = ConfigDict(frozen=True, extra="forbid", validate_default=True)


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
