"""Recipe of a model version, stored as ``recipe.json`` in its run: sufficient to train the version again."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

RECIPE_FILE = "recipe.json"
Calibration = Literal["none", "sigmoid", "isotonic"]


class FoldCutoffs(BaseModel):
    """Cut-offs of one fold; the horizons of ``fit`` end before the cut-off of ``validation``."""

    model_config = ConfigDict(frozen=True)

    fit: tuple[datetime, ...]
    validation: datetime


class Recipe(BaseModel):
    """Family, parameters, cut-offs and data digests of a model.

    Attributes:
        digests: SHA-256 of "rows", "labels" and each input, for "development" and for "test"; a reproduction reports
            the
            first difference.
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
