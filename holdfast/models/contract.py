"""What ties a model version to the features it was trained on: names, aliases, tags, inputs, fingerprint."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from feature_repo.names import FEATURE_SERVICE
from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.models.fingerprint import differing_parts, fingerprint

if TYPE_CHECKING:
    from feast import FeatureStore

if TYPE_CHECKING:
    from feast import FeatureStore

MODEL_NAME = "holdfast-churn"
RECENCY_FEATURE = "days_since_last_purchase"  # tells who is active
CHAMPION = "champion"
CHALLENGER = "challenger"

# A saved model is a folder of these two; training leaves the contract in the tag, all but the version.
MODEL_FILE = "model.skops"
CONTRACT_FILE = "contract.json"
SERVED_MODEL_TAG = "holdfast.served_model"

# The only types, beyond skops' own safe list, that a model file may contain.
TRUSTED_TYPES = [
    "holdfast.models.calibrated_classifier.CalibratedModel",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


class ScoredExample(BaseModel):
    """A row of inputs, None where one is missing, and the probability that the model gave it when it was trained."""

    model_config = ConfigDict(frozen=True)

    inputs: list[FiniteFloat | None]
    churn_probability: float = Field(ge=0, le=1)


class ServedModel(BaseModel):
    """What a model needs to be served as it was trained; kept beside the model file as JSON.

    ``reference`` is the typical customer that reasons compare with: one value per input, None where it is missing.
    ``examples`` are made-up rows whose scores the model must give wherever it is served. Versions from before there
    were any have none, and are not served.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model_name: str
    model_version: str
    feature_service: str
    inputs: list[str]
    reference: list[FiniteFloat | None]
    threshold: float
    horizon_days: int
    activity_days: int
    fingerprint: dict[str, str]
    model_sha256: str
    examples: list[ScoredExample] = []

    @model_validator(mode="after")
    def _rows_of_inputs(self) -> Self:
        rows = {"reference": self.reference} | {f"example {i}": row.inputs for i, row in enumerate(self.examples)}
        for name, row in rows.items():
            if len(row) != len(self.inputs):
                raise ValueError(f"the {name} has {len(row)} values for {len(self.inputs)} inputs")
        return self

    def differing_definitions(self, other: "ServedModel") -> list[str]:
        """The names of the parts in which the definitions of two models differ; none: one row of inputs fits both."""
        parts = differing_parts(self.fingerprint, other.fingerprint)
        return parts + ["inputs"] * (self.inputs != other.inputs)


@dataclass(frozen=True)
class Feature:
    """One model input."""

    view: str
    name: str
    dtype: str
    nullable: bool


@dataclass(frozen=True)
class FreshnessLimits:
    """How old a stored view may be at the request: flagged beyond ``soft``, refused beyond ``hard``."""

    soft: timedelta
    hard: timedelta


def model_inputs(store: "FeatureStore") -> list[Feature]:
    """The inputs of the model, in the order of the feature service as it stands in the registry."""
    inputs = []
    for projection in store.get_feature_service(FEATURE_SERVICE).feature_view_projections:
        view = store.registry.get_any_feature_view(projection.name, store.project)
        nullable = view.tags.get("nullable", "").split(",")
        inputs += [
            Feature(projection.name, field.name, str(field.dtype), field.name in nullable)
            for field in projection.features
        ]
    return inputs


def freshness_limits(store: "FeatureStore") -> dict[str, FreshnessLimits]:
    """The freshness limits of each stored view behind the feature service, from ``ttl`` and its tag."""
    return {
        view.name: FreshnessLimits(timedelta(hours=float(view.tags["soft_limit_hours"])), view.ttl or timedelta.max)
        for view in store.list_feature_views()
    }


class MissingFeatureError(HoldfastError):
    """A feature that may not be null is null."""


def input_matrix(inputs: list[Feature], columns: dict[str, list[Any]]) -> Floats:
    """Feature values as the model reads them: float64, shape (rows, inputs), a permitted null as NaN.

    Training and serving both build their matrix here.

    Raises:
        MissingFeatureError: A null in a feature that is not nullable; nothing is filled in silently.
    """
    matrix = np.empty((len(columns[inputs[0].name]), len(inputs)), dtype=np.float64)
    for i, feature in enumerate(inputs):
        matrix[:, i] = np.array(columns[feature.name], dtype=np.float64)  # None becomes NaN
        if not feature.nullable and np.isnan(matrix[:, i]).any():
            row = int(np.flatnonzero(np.isnan(matrix[:, i]))[0])
            raise MissingFeatureError(
                f"{feature.view}:{feature.name} is null in row {row}, and is not declared nullable"
            )
    return matrix


def differing_definitions(store: "FeatureStore", contract: ServedModel, inputs: list[str]) -> list[str]:
    """The names of the parts in which the registry's definitions, and ``inputs``, are not those of the model."""
    parts = differing_parts(contract.fingerprint, fingerprint(store, contract.horizon_days, contract.activity_days))
    if inputs != contract.inputs:
        parts.append("inputs")
    if contract.feature_service != FEATURE_SERVICE:
        parts.append("feature service's name")
    return parts
