"""What may be set about recovery."""

from pydantic import BaseModel, ConfigDict, Field

# Killed at any point, each of these ends in the same state when it runs again.
_REPEATABLE = (
    "alerts", "backfill", "daily", "features", "gates", "ingest", "model-card", "monitor", "recover", "retrain",
    "rollout", "score", "train",
)  # fmt: skip


class RecoverRules(BaseModel):
    """Which runs run again, how often, and when one counts as dead."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repeatable: tuple[str, ...] = Field(
        default=_REPEATABLE, description="Deployments that may run again by themselves."
    )
    times: int = Field(default=2, ge=0, description="How often one run is run again at most.")
    missed_beats: int = Field(default=3, ge=2, description="A run that missed so many heartbeats may be dead.")
    pending_minutes: float = Field(default=15, gt=0, description="A run that does not begin for so long may be dead.")
    look_back_hours: float = Field(
        default=24, gt=0, description="How far back runs are looked for that nobody told of."
    )
