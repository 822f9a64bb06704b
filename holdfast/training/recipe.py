"""How a model version is made from its training set: kept as ``recipe.json`` in its run, enough to make it again."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

RECIPE_FILE = "recipe.json"
Calibration = Literal["none", "sigmoid", "isotonic"]


class FoldCutoffs(BaseModel):
    """Fitted on ``fit``, judged on ``validation``, whose horizon of outcomes begins after those of ``fit`` ended."""

    model_config = ConfigDict(frozen=True)

    fit: tuple[datetime, ...]
    validation: datetime


class Recipe(BaseModel):
    """The choice, the cut-offs and what the data looked like.

    ``digests`` maps "development" and "test" to "rows", "labels" and each input to the SHA-256 of its values, so
    that a reproduction can say where it parts.
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
