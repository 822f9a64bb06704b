"""Recipe that makes a model version from its training set, stored as ``recipe.json`` in its run."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

RECIPE_FILE = "recipe.json"
SERVED = "served"  # column of the test predictions: scores of the shipped model after a refit, beside "model"
BASE_RATE = "base_rate"  # family of the constant model, which is never searched
Calibration = Literal["none", "sigmoid", "isotonic"]


class FoldCutoffs(BaseModel):
    """Cut-offs of a fold: the horizons of ``fit`` end before ``validation``."""

    model_config = ConfigDict(frozen=True)

    fit: tuple[datetime, ...]
    validation: datetime


class Recipe(BaseModel):
    """Recipe of a model version.

    Attributes:
        family: Name of the model family.
        params: Hyperparameters of the family.
        threshold: Churn probability from which customers get an offer.
        development: Cut-offs of the rows to fit on.
        test: Cut-offs of the test rows.
        digests: "development", "test" and, after a refit, "refit" to "rows", "labels" and each input to the SHA-256 of
            its values, by which a reproduction locates differences.
        refit: Cut-offs of the rows on which the shipped model was fitted after the test; empty when the tested model
            ships.
    """

    model_config = ConfigDict(frozen=True)

    family: str
    params: dict[str, Any]
    calibration: Calibration
    seed: int
    threshold: float
    folds: tuple[FoldCutoffs, ...]
    development: tuple[datetime, ...]
    test: tuple[datetime, ...]
    digests: dict[str, dict[str, str]]
    refit: tuple[datetime, ...] = ()

    @property
    def shipped(self) -> tuple[datetime, ...]:
        """Return the cut-offs of the rows on which the shipped model was fitted."""
        return self.refit or self.development
