"""Settings of a rollout."""

from itertools import pairwise
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.models.registered_version import MAX_SHARE


class RolloutSettings(BaseModel):
    """Steps of a rollout, their duration and the limits of their guardrails."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shadow: bool = Field(default=True, description="Begin in shadow: it scores every request, and nobody sees it.")
    shares: tuple[float, ...] = Field(
        default=(0.05, 0.25),
        description=f"Shares of the customers it answers for, one after the other; {MAX_SHARE} at most.",
    )
    min_requests: int = Field(
        default=200, ge=1, description="Requests about active customers that it scores in each step before the next."
    )
    max_hours: float = Field(default=24, gt=0, description="Longest time of a step; then the rollout ends without it.")
    watch_minutes: float = Field(
        default=15, ge=0, description="How long the new champion is watched at least, and rolled back if it is worse."
    )
    poll_seconds: float = Field(default=5, gt=0, description="From one look to the next.")
    lease_seconds: float = Field(
        default=180, ge=10, description="Services stop trying it out when nobody has watched for this long."
    )
    unreachable_minutes: float = Field(
        default=5, ge=0, description="An alert is raised when the service does not answer for this long."
    )
    max_error_share: float = Field(
        default=0.01, gt=0, lt=1, description="Share of requests that end in a server error (5xx, but 503) at most."
    )
    max_failures: int = Field(
        default=0, ge=0, description="Times it may fail to score, and the champion has to, in one step."
    )
    max_latency_ratio: float = Field(
        default=2, ge=1, description="How many times the champion's p95 its own may be; /predict alone."
    )
    latency_floor_ms: float = Field(default=50, ge=0, description="Up to here nobody is too slow, ms.")
    min_rank_correlation: float = Field(
        default=0.5, ge=-1, lt=1, description="Spearman's, of its scores with the champion's of the same customers."
    )
    max_difference: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="Mean absolute difference from the champion's scores of the same customers.",
    )
    max_decision_change: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="Change of the share of customers told to churn, from the champion's, both at its threshold.",
    )
    max_psi: float = Field(
        default=1.0, gt=0, description="Population stability index of its scores against those of its own test."
    )
    certainty: float = Field(
        default=0.95, ge=0.5, lt=1, description="How sure a breach must be at the look that would end a step."
    )
    early_certainty: float = Field(
        default=0.999, ge=0.5, lt=1, description="How sure before that look: there are many of them."
    )

    @model_validator(mode="after")
    def _growing(self) -> Self:
        if any(not 0 < share <= MAX_SHARE for share in self.shares):
            raise ValueError(f"every share must be above 0 and at most {MAX_SHARE}, not {list(self.shares)}")
        if any(later <= earlier for earlier, later in pairwise(self.shares)):
            raise ValueError(f"the shares must grow from step to step, not {list(self.shares)}")
        if not self.shadow and not self.shares:
            raise ValueError("a rollout needs a step before the promotion: shadow, or a share")
        return self

    def changed(self) -> dict[str, Any]:
        """Select the settings that differ from the defaults; a resumed rollout reads them.

        Returns:
            Changed settings by name, as JSON values.
        """
        defaults = RolloutSettings().model_dump(mode="json")
        return {name: value for name, value in self.model_dump(mode="json").items() if value != defaults[name]}
