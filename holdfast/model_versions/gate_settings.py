"""Thresholds of the gates."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_FORBIDDEN_INPUTS = [
    "customer_id",
    "age",
    "age_*",
    "*birth*",
    "*gender*",
    "*sex*",
    "*race*",
    "*ethnic*",
    "*religion*",
    "*nationality*",
    "*postal*",
    "*zip*",
]


class GateSettings(BaseModel):
    """Thresholds of the gates. A lower or upper bound is that of the 95% interval over customers and months."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_roc_auc: float = Field(
        default=0.5, ge=0, le=1, description="Lower bound of the ROC-AUC within the test months, more than this."
    )
    min_fold_gain: float = Field(
        default=0.0,
        ge=-1,
        description="Lower bound of the log loss saved over the base rate on the folds, more than this.",
    )
    max_brier_loss: float = Field(
        default=0.0, ge=0, description="Sure loss in Brier score compared with the base rate, at most."
    )
    min_gain_over_baselines: float = Field(
        default=0.0,
        ge=-1,
        description="Upper bound of the gain in ROC-AUC over each simple model, at least; below 0 allows a sure loss.",
    )
    max_log_loss_to_simple: float = Field(
        default=0.0, ge=0, description="Sure loss in log loss compared with each simple model, at most."
    )
    min_gain_over_families: float = Field(
        default=0.0,
        ge=-1,
        description="Upper bound of the log loss saved over each other family of the search, at least.",
    )
    max_loss_to_champion: float = Field(
        default=0.01, ge=0, description="Measured loss in ROC-AUC compared with the champion, at most."
    )
    min_shared_rows: int = Field(
        default=500,
        ge=1,
        description="Rows on which a measured loss compared with the champion counts, at least.",
    )
    max_calibration_error: float = Field(
        default=0.1, ge=0, le=1, description="Near end of the calibration error without the level's part, at most."
    )
    max_bias: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Near end of the distance of mean prediction from observed churn, overall, in any month and large "
        "slice, beyond the distance that churn moved (slice: beyond the distance of all rows), at most.",
    )
    max_slice_gap: float = Field(
        default=0.05,
        ge=0,
        description="Lower bound of the ROC-AUC by which the best simple model is ahead in a slice, at most.",
    )
    min_slice_rows: int = Field(default=200, ge=1, description="Smaller slices are not evaluated.")
    max_instability: float = Field(
        default=0.05,
        ge=0,
        description="Mean change of a probability by fits on resampled customers, near end of a 97% interval, at most.",
    )
    max_wrong_direction: float = Field(
        default=0.01, ge=0, le=1, description="Share of customers whose risk falls as their silence grows, at most."
    )
    score_tolerance: float = Field(
        default=1e-9, ge=0, description="Scores that differ by no more than this count as the same."
    )
    max_latency_ms: float = Field(default=20, gt=0, description="Median time of one prediction at most, ms.")
    max_size_mb: float = Field(default=20, gt=0, description="Model file at most, MB.")
    forbidden_inputs: list[str] = Field(
        default=_FORBIDDEN_INPUTS, description="Patterns of names that no model input may have; * is any text."
    )
    max_rollbacks: int = Field(
        default=0, ge=0, description="Times the version may have been rolled back as a champion already."
    )
    resamples: int = Field(default=500, ge=50, description="Bootstrap resamples behind the comparison with a champion.")
    seed: int = Field(default=0, ge=0, description="Seed of that bootstrap.")

    def non_defaults(self) -> dict[str, Any]:
        """List the thresholds that differ from the defaults.

        Returns:
            Name to value, as JSON.
        """
        return self.model_dump(mode="json", exclude_defaults=True)


def describe_changed_thresholds(changed: Mapping[str, Any]) -> str:
    """Describe thresholds that differ from the defaults.

    Args:
        changed: Name to value.

    Returns:
        A sentence, or "" without changed thresholds.
    """
    if not changed:
        return ""
    return f"Thresholds other than the defaults: {', '.join(f'{name} {value}' for name, value in changed.items())}."
