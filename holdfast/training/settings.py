"""Training settings: search, profit, customer groups and cut-offs."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Defaults are validated, so that 90 and 90.0 are one setting, and one training key, whoever gives it.
_FROZEN = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class SearchSettings(BaseModel):
    """Budget of the hyperparameter search."""

    model_config = _FROZEN

    trials: int = Field(default=10, ge=1, description="Trials per family, including pruned trials.")
    seconds: float = Field(
        default=90, gt=0, description="Time in seconds after which no trial starts, except the first of a family."
    )


class ValueSettings(BaseModel):
    """Cost and benefit of a retention offer, in the currency of the transactions."""

    model_config = _FROZEN

    kept_customer: float = Field(default=30, gt=0, description="Value of a retained customer who would have churned.")
    offer_cost: float = Field(default=2, gt=0, description="Cost of one offer.")
    response_rate: float = Field(default=0.1, gt=0, le=1, description="Share of churners retained by the offer.")

    @model_validator(mode="after")
    def _can_pay(self) -> Self:
        if self.offer_cost >= self.kept_customer * self.response_rate:
            raise ValueError("an offer never pays: offer_cost must be below kept_customer * response_rate")
        return self


class Slice(BaseModel):
    """Customer groups by one model input: by edges, or by quantiles of the test rows."""

    model_config = _FROZEN

    feature: str = Field(description="The model input.")
    edges: list[float] = Field(default=[], description="Ascending; a value on an edge belongs to the group above.")
    quantiles: int | None = Field(default=None, ge=2, description="How many groups of one size; or give edges.")
    labels: list[str] = Field(description="One per group, lowest first.")

    @model_validator(mode="after")
    def _labelled(self) -> Self:
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
    """Cut-offs, search, profit and seed; horizon and activity window are part of the label (``Settings``)."""

    model_config = _FROZEN

    test_cutoffs: int = Field(default=4, ge=1, description="Latest monthly cut-offs, kept for the test.")
    folds: int = Field(default=5, ge=1, description="Latest cut-offs before the test for the comparison of candidates.")
    min_fit_cutoffs: int = Field(default=2, ge=1, description="Cut-offs that must be left to fit on in each fold.")
    min_history_days: int = Field(default=30, ge=0, description="History before the earliest cut-off.")
    max_cutoffs: int = Field(default=36, ge=2, description="Only the latest cut-offs are used.")
    search: SearchSettings = Field(default=SearchSettings(), description="Budget of the model search.")
    value: ValueSettings = Field(default=ValueSettings(), description="Value of customers and offers.")
    slices: list[Slice] = Field(default=DEFAULT_SLICES, description="Customer groups that are evaluated separately.")
    resamples: int = Field(default=500, ge=50, description="Bootstrap resamples behind each 95% interval.")
    seed: int = Field(default=0, description="Seed of the search, the candidates and the bootstrap.")
