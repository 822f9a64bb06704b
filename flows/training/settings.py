"""What a data scientist may set about training."""

from pydantic import BaseModel, ConfigDict, Field


class TrainingSettings(BaseModel):
    """Cut-offs, seed and decision threshold; horizon and activity window are part of the label (Settings)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_cutoffs: int = Field(default=6, ge=1, description="Latest monthly cut-offs, kept for the test.")
    validation_cutoffs: int = Field(default=2, ge=1, description="Cut-offs on which a candidate is chosen.")
    min_fit_cutoffs: int = Field(default=2, ge=1, description="Cut-offs that must be left to fit on.")
    min_history_days: int = Field(default=30, ge=0, description="History before the earliest cut-off.")
    max_cutoffs: int = Field(default=36, ge=3, description="Only the latest cut-offs are used.")
    threshold: float = Field(default=0.5, gt=0, lt=1, description="will_churn is churn_probability >= threshold.")
    seed: int = Field(default=0, description="Seed of the candidates.")
    noise_z: float = Field(
        default=2.0, ge=0, description="Standard errors by which boosting must beat the logistic regression."
    )
