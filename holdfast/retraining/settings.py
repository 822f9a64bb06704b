"""Settings of the retraining policy."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class RetrainingRules(BaseModel):
    """Persistence of findings and frequency of retrainings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: int = Field(default=5, ge=1, description="Number of latest windows, one a day, that are evaluated.")
    needed: int = Field(default=2, ge=1, description="Number of windows with the finding, including the latest.")
    cool_down_days: float = Field(default=7, ge=0, description="Days without another retraining after a retraining.")
    per_day: int = Field(default=1, ge=1, description="Largest number of retrainings a day, including failed ones.")
    stale_days: float = Field(default=3, gt=0, description="Age in days beyond which a finding is ignored.")

    @model_validator(mode="after")
    def _possible(self) -> "RetrainingRules":
        if self.needed > self.windows:
            raise ValueError(f"needed ({self.needed}) cannot be more than windows ({self.windows})")
        return self
