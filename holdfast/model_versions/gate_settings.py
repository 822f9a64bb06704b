"""Thresholds of the gates."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from holdfast.core.errors import HoldfastError
from holdfast.models.declaration import ModelDeclaration

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


# Thresholds that both kinds of model have.
MinSliceRows = Annotated[int, Field(ge=1, description="Smaller slices are not evaluated.")]
MaxLatencyMs = Annotated[float, Field(gt=0, description="Median time of one prediction at most, ms.")]
MaxSizeMb = Annotated[float, Field(gt=0, description="Model file at most, MB.")]
ForbiddenInputs = Annotated[
    list[str], Field(description="Patterns of names that no model input may have; * is any text.")
]
MaxRollbacks = Annotated[
    int, Field(ge=0, description="Times the version may have been rolled back as a champion already.")
]
Resamples = Annotated[int, Field(ge=50, description="Bootstrap resamples behind the comparison with a champion.")]
Seed = Annotated[int, Field(ge=0, description="Seed of that bootstrap.")]


class GateThresholds(BaseModel):
    """Base class of the thresholds. A lower or upper bound is that of the 95% interval over customers and months."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def non_defaults(self) -> dict[str, Any]:
        """List the thresholds that differ from the defaults.

        Returns:
            Name to value, as JSON.
        """
        return self.model_dump(mode="json", exclude_defaults=True)


class GateSettings(GateThresholds):
    """Thresholds of the gates of a classification."""

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
    min_slice_rows: MinSliceRows = 200
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
    max_latency_ms: MaxLatencyMs = 20
    max_size_mb: MaxSizeMb = 20
    forbidden_inputs: ForbiddenInputs = _FORBIDDEN_INPUTS
    max_rollbacks: MaxRollbacks = 0
    resamples: Resamples = 500
    seed: Seed = 0


class RegressionGateSettings(GateThresholds):
    """Thresholds of the gates of a regression."""

    min_rank_correlation: float = Field(
        default=0.0, ge=-1, le=1, description="Lower bound of the rank correlation of prediction and spend, above."
    )
    min_fold_gain: float = Field(
        default=0.0, description="Lower bound of the Tweedie deviance saved over the mean on the folds, above."
    )
    max_total_error: float = Field(
        default=0.1,
        ge=0,
        description="Sure error of the predicted total beyond what spend moved, at most; of a large slice in shares of "
        "the mean spend of all customers, beyond the error of all rows.",
    )
    max_deviance_loss: float = Field(
        default=0.0, ge=0, description="Sure loss in Tweedie deviance compared with another model, at most."
    )
    min_shared_rows: int = Field(default=500, ge=1, description="Rows of the comparison with the champion, at least.")
    min_slice_rows: MinSliceRows = 200
    score_tolerance: float = Field(
        default=1e-9, ge=0, description="Predictions that differ by no more than this count as the same."
    )
    max_latency_ms: MaxLatencyMs = 20
    max_size_mb: MaxSizeMb = 20
    forbidden_inputs: ForbiddenInputs = _FORBIDDEN_INPUTS
    max_rollbacks: MaxRollbacks = 0
    resamples: Resamples = 500
    seed: Seed = 0


class ThresholdsError(HoldfastError):
    """Thresholds that the gates of a model do not have."""


def declared_thresholds(
    declaration: ModelDeclaration, thresholds: GateSettings | None
) -> GateSettings | RegressionGateSettings:
    """Choose the thresholds of a model: those of the run before those of its declaration.

    Args:
        declaration: Declaration of the model.
        thresholds: Thresholds of the run; None without any.

    Returns:
        Thresholds of the model's kind.

    Raises:
        ThresholdsError: The declaration has another threshold, or the run gives those of a classification to a
            regression.
    """
    file = f"feature_repo/models/{declaration.name}.yaml"
    if thresholds is not None and declaration.kind == "regression":
        raise ThresholdsError(
            f"The thresholds of {declaration.name}, a regression, are in {file} (gates), not options."
        )
    kind = RegressionGateSettings if declaration.kind == "regression" else GateSettings
    given = thresholds.model_dump(exclude_unset=True) if thresholds else {}
    try:
        return kind.model_validate(declaration.gates | given)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ThresholdsError(f"The gates in {file} are not valid: {'; '.join(problems)}.") from error


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
