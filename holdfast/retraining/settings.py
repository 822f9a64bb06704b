"""What may be set about retraining."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class RetrainingRules(BaseModel):
    """When a finding is reason enough, and how often at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: int = Field(default=5, ge=1, description="How many of the latest windows, one a day, are looked at.")
    needed: int = Field(default=2, ge=1, description="In how many of them a finding has to be, the latest among them.")
    cool_down_days: float = Field(default=7, ge=0, description="No retraining so soon after the last.")
    per_day: int = Field(default=1, ge=1, description="At most so many retrainings a day, failed ones included.")
    stale_days: float = Field(default=3, gt=0, description="Findings of windows older than this are no reason.")

    @model_validator(mode="after")
    def _possible(self) -> "RetrainingRules":
        if self.needed > self.windows:
            raise ValueError(f"needed ({self.needed}) cannot be more than windows ({self.windows})")
        return self
