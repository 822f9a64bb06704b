"""Settings of recovery."""

from pydantic import BaseModel, ConfigDict, Field

# Killed at any point, each of these reaches the same state when it is repeated.
_REPEATABLE = (
    "alerts", "backfill", "daily", "features", "gates", "ingest", "model-card", "monitor", "recover", "retrain",
    "rollout", "score", "train",
)  # fmt: skip


class RecoverRules(BaseModel):
    """Rules for the repetition of crashed runs and the detection of dead ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repeatable: tuple[str, ...] = Field(
        default=_REPEATABLE, description="Deployments whose crashed runs are repeated automatically."
    )
    times: int = Field(default=2, ge=0, description="Maximum number of repetitions of a run.")
    missed_beats: int = Field(default=3, ge=2, description="Number of missed heartbeats after which a run may be dead.")
    pending_minutes: float = Field(
        default=15, gt=0, description="Minutes in state Pending after which a run may be dead."
    )
    look_back_hours: float = Field(
        default=24, gt=0, description="Hours back from now within which unhandled runs are searched."
    )
