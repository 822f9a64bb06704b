"""Settings of a rollout."""

from datetime import timedelta
from itertools import pairwise
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.models.registered_version import MAX_SHARE


class RolloutSettings(BaseModel):
    """Steps of a rollout, their durations, and the limits of the guardrails."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shadow: bool = Field(
        default=True,
        description="Begin in shadow: the challenger scores every request, and its scores are only logged.",
    )
    shares: tuple[float, ...] = Field(
        default=(0.05, 0.25),
        description=f"Growing shares of the customers, one canary step each; at most {MAX_SHARE}.",
    )
    min_requests: int = Field(
        default=200, ge=1, description="Requests about active customers that the challenger scores in each step."
    )
    max_hours: float = Field(
        default=24, gt=0, description="Longest time of a step; after it the rollout stops without a promotion."
    )
    watch_minutes: float = Field(
        default=15, ge=0, description="Shortest time in which the new champion is monitored, and rolled back if worse."
    )
    poll_seconds: float = Field(default=5, gt=0, description="Time between two polls.")
    lease_seconds: float = Field(
        default=180, ge=10, description="Services end the traffic if the lease is not renewed for this long."
    )
    unreachable_minutes: float = Field(
        default=5, ge=0, description="An alert is raised if the service does not respond for this long."
    )
    max_error_share: float = Field(
        default=0.01, gt=0, lt=1, description="Share of requests that end in a server error (5xx except 503) at most."
    )
    max_failures: int = Field(
        default=0, ge=0, description="Failures to score (the champion scores instead) in one step at most."
    )
    max_latency_ratio: float = Field(
        default=2, ge=1, description="The challenger's p95 at most, as a multiple of the champion's; /predict only."
    )
    latency_floor_ms: float = Field(default=50, ge=0, description="Up to this time no response is too slow, ms.")
    min_rank_correlation: float = Field(
        default=0.5,
        ge=-1,
        lt=1,
        description="Spearman correlation with the champion's scores of the same customers, at least.",
    )
    max_difference: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="Classification: mean absolute difference from the champion's scores of the same customers, at "
        "most.",
    )
    max_decision_change: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="Classification: change of the share of customers with a positive prediction, such as churn, both "
        "at the champion's threshold, at most.",
    )
    max_relative_difference: float = Field(
        default=0.5,
        gt=0,
        description="Regression: mean absolute difference from the champion's predictions of the same customers, as a "
        "share of their mean, at most.",
    )
    max_total_change: float = Field(
        default=0.3,
        gt=0,
        description="Regression: change of the sum of the predictions of the same customers, as a share of the "
        "champion's sum, at most.",
    )
    max_missing_share: float = Field(
        default=0.02,
        gt=0,
        lt=1,
        description="Regression: share of the customers without a prediction among those that the champion predicts, "
        "at most.",
    )
    max_psi: float = Field(
        default=1.0,
        gt=0,
        description="Population stability index of the scores against those of the test set, at most.",
    )
    certainty: float = Field(
        default=0.95, ge=0.5, lt=1, description="Confidence of a breach at the poll that would pass a step."
    )
    early_certainty: float = Field(
        default=0.999, ge=0.5, lt=1, description="Confidence of a breach at earlier polls, which are repeated tests."
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

    @property
    def lease(self) -> timedelta:
        """Return the duration of a lease."""
        return timedelta(seconds=self.lease_seconds)

    def non_defaults(self) -> dict[str, Any]:
        """List the settings that differ from the defaults; a resumed rollout is read from them.

        Returns:
            Name to value, as JSON.
        """
        return self.model_dump(mode="json", exclude_defaults=True)
