"""Training settings."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.training.level import Decisions
from holdfast.training.recipe import Calibration

# Defaults are validated, so that 90 and 90.0 are the same setting with the same training key.
_FROZEN = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class SearchSettings(BaseModel):
    """Number of trials and time of the hyperparameter search."""

    model_config = _FROZEN

    trials: int = Field(default=10, ge=1, description="Trials per family, pruned ones included.")
    seconds: float = Field(default=90, gt=0, description="No trial starts after so long; a family's first always does.")


class ValueSettings(BaseModel):
    """Cost and value of a retention offer, in the currency of the transactions."""

    model_config = _FROZEN

    kept_customer: float = Field(default=30, gt=0, description="Value of a retained customer.")
    offer_cost: float = Field(default=2, gt=0, description="Cost of one offer, taken up or not.")
    decisions: Decisions = Field(
        default="margin",
        description="What decides where the level of the probabilities cannot be known: margin raises the threshold by "
        "how much too high they may be, threshold does not. rank always selects a fixed share of the customers.",
    )
    response_rate: float = Field(default=0.1, gt=0, le=1, description="Share of churners that the offer retains.")

    @model_validator(mode="after")
    def _require_profitable_offer(self) -> Self:
        if self.offer_cost >= self.kept_customer * self.response_rate:
            raise ValueError("an offer never pays: offer_cost must be below kept_customer * response_rate")
        return self


class Slice(BaseModel):
    """Groups of customers by one model input: split at edges, by quantiles of the test rows, or one per category."""

    model_config = _FROZEN

    feature: str = Field(description="The model input.")
    edges: list[float] = Field(default=[], description="Ascending; a value on an edge belongs to the group above.")
    quantiles: int | None = Field(default=None, ge=2, description="Number of groups of equal size, instead of edges.")
    labels: list[str] = Field(
        default=[], description="Label per group, lowest first. Without labels each category of a text is a group."
    )

    @property
    def by_category(self) -> bool:
        """Return whether each category is a group."""
        return not (self.edges or self.quantiles or self.labels)

    @model_validator(mode="after")
    def _require_labels(self) -> Self:
        if self.by_category:
            return self
        groups = self.quantiles or len(self.edges) + 1
        if bool(self.edges) == bool(self.quantiles) or self.edges != sorted(set(self.edges)):
            raise ValueError(f"slice by {self.feature}: give either ascending edges or a number of quantiles")
        if len(self.labels) != groups:
            raise ValueError(f"slice by {self.feature}: {groups} groups need {groups} labels, not {len(self.labels)}")
        return self


DEFAULT_SLICES = [
    Slice(feature="tenure_days", edges=[180], labels=["new (under 180 days)", "tenured (180 days and more)"]),
    Slice(feature="purchase_days", edges=[2], labels=["one-time buyers", "repeat buyers"]),
    Slice(
        feature="total_amount",
        quantiles=4,
        labels=["lowest spend quarter", "second spend quarter", "third spend quarter", "highest spend quarter"],
    ),
]


class TrainingSettings(BaseModel):
    """Settings of a training run; horizon and activity window are part of the label (Settings)."""

    model_config = _FROZEN

    test_cutoffs: int = Field(default=4, ge=1, description="Latest monthly cut-offs, reserved for the test.")
    folds: int = Field(
        default=5, ge=1, description="Latest cut-offs before the test, on which candidates are compared."
    )
    min_fit_cutoffs: int = Field(default=2, ge=1, description="Minimum number of cut-offs to fit on in each fold.")
    min_history_days: int = Field(default=30, ge=0, description="Days of history before the earliest cut-off.")
    family: Literal["best", "base_rate"] = Field(
        default="best", description="best searches a model; base_rate is one probability for all customers."
    )
    candidates: list[str] | None = Field(
        default=None, description="Model families that compete; those of the model's declaration when left out."
    )
    max_cutoffs: int = Field(default=36, ge=2, description="Maximum number of cut-offs; the latest are used.")
    search: SearchSettings = Field(default=SearchSettings(), description="Budget of the hyperparameter search.")
    calibration: Literal["auto"] | Calibration = Field(
        default="auto", description="Calibration method; auto compares all of them on the folds and on the test."
    )
    refit: bool = Field(default=True, description="Whether the tested recipe is fitted again on all known outcomes.")
    max_refit_change: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Largest mean absolute change of the test rows' probabilities by the refit, apart from the level; "
        "beyond it the tested model ships.",
    )
    value: ValueSettings = Field(default=ValueSettings(), description="Value of customers and offers.")
    slices: list[Slice] = Field(
        default=DEFAULT_SLICES, description="Groups of customers that are evaluated separately."
    )
    resamples: int = Field(default=500, ge=50, description="Bootstrap resamples behind each 95% interval.")
    seed: int = Field(default=0, description="Seed of the search, the candidates and the bootstrap.")

    def with_candidates(self, candidates: list[str]) -> Self:
        """Fill in the declared candidates, unless the settings name some.

        Args:
            candidates: Candidates of the model's declaration.

        Returns:
            The settings.
        """
        return self if self.candidates is not None else self.model_copy(update={"candidates": candidates})
