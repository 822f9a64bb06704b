"""Contract of a model version with its features: names, aliases, tags, inputs, fingerprint and examples."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from feature_repo.names import FEATURE_SERVICE
from holdfast.core.definition_hashes import DECLARATION_TAGS, definitions_version, feature_fingerprint, without_label
from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.models.categories import InputCategories, encode_categories
from holdfast.models.fingerprint import differing_parts
from holdfast.models.label import LabelDefinition, LabelName, LabelTerms
from holdfast.models.remedies import RETRAIN

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast import Field as FeastField

MODEL_NAME = "holdfast-churn"
CHAMPION = "champion"
CHALLENGER = "challenger"

# A saved model is a folder of these two files. In the registry the contract, without the version, is a tag.
MODEL_FILE = "model.skops"
CONTRACT_FILE = "contract.json"
SERVED_MODEL_TAG = "holdfast.served_model"
AS_OF_TAG = "holdfast.as_of"  # of the training

# Types that a model file may contain, in addition to those that skops trusts.
TRUSTED_TYPES = [
    "holdfast.models.additive_terms.arcsinh_inputs",
    "holdfast.models.calibrated_classifier.CalibratedModel",
    "holdfast.models.category_columns.indicate_categories",
    "holdfast.models.category_columns.rank_categories",
    "holdfast.models.purchase_models.BgNbdModel",
    "holdfast.models.purchase_models.ParetoNbdModel",
    "holdfast.models.spend_models.BgNbdGammaGammaModel",
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


class UnknownLabelError(HoldfastError):
    """Model version without its label."""


class ScoredExample(BaseModel):
    """Example row with the score of the model at the time of training.

    Attributes:
        inputs: Value per input; None is missing.
        churn_probability: Score of the row by a classification.
    """

    model_config = ConfigDict(frozen=True)

    inputs: list[FiniteFloat | None]
    churn_probability: float = Field(ge=0, le=1)


class PredictedExample(BaseModel):
    """Example row with the prediction of a regression at the time of training.

    Attributes:
        inputs: Value per input; None is missing.
        value: Expected value of the row.
    """

    model_config = ConfigDict(frozen=True)

    inputs: list[FiniteFloat | None]
    value: float = Field(ge=0)


class ServedModel(BaseModel):
    """Contract of a model version, stored as JSON beside the model file.

    Attributes:
        model_name: Name in the registry.
        model_version: Version in the registry.
        feature_service: Feature service that provides the inputs.
        inputs: Names of the inputs, in their order.
        reference: Inputs of the typical customer, the reference of reason codes; None is missing.
        threshold: Churn probability from which a retention offer pays; 0 for a regression.
        label_name: Name of the label.
        horizon_days: Horizon of the label.
        activity_days: Activity window of the label, where it has one.
        grace_days: Grace of the label, where it has one.
        label_sql: Query of the label, by which outcomes are computed after its code has changed; empty in versions of
            early releases.
        fingerprint: SHA-256 per part of the feature and label definitions.
        model_sha256: SHA-256 of the model file.
        examples: Synthetic rows with the scores that the model must return wherever it is served. Versions of early
            releases have none and are not served.
        predicted_examples: The same for a regression, which has no ``examples``: no service scores churn with it.
        categories: Categorical input to its categories. Its numbers in ``reference`` and ``examples`` are codes.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model_name: str
    model_version: str
    feature_service: str
    inputs: list[str]
    reference: list[FiniteFloat | None]
    threshold: float
    label_name: LabelName = "no_purchase"
    horizon_days: int
    activity_days: int
    grace_days: int = 0
    label_sql: str = ""
    fingerprint: dict[str, str]
    model_sha256: str
    examples: list[ScoredExample] = []
    predicted_examples: list[PredictedExample] = []
    categories: dict[str, InputCategories] = {}

    @model_validator(mode="after")
    def _rows_of_inputs(self) -> Self:
        examples: list[ScoredExample | PredictedExample] = [*self.examples, *self.predicted_examples]
        rows = {"reference": self.reference} | {f"example {i}": row.inputs for i, row in enumerate(examples)}
        for name, row in rows.items():
            if len(row) != len(self.inputs):
                raise ValueError(f"the {name} has {len(row)} values for {len(self.inputs)} inputs")
        if others := sorted(self.categories.keys() - set(self.inputs)):
            raise ValueError(f"categories of {', '.join(others)}, which is no input")
        return self

    @property
    def definitions(self) -> str:
        """Return the id of the version of the feature definitions that the model reads."""
        return definitions_version(self.fingerprint)

    @property
    def terms(self) -> LabelTerms:
        """Return the terms of the label, which versions of early releases have too."""
        return LabelTerms(self.label_name, self.horizon_days, self.activity_days, self.grace_days)

    @property
    def label(self) -> LabelDefinition:
        """Return the label; raises UnknownLabelError for a version of an early release."""
        if not self.label_sql:
            raise UnknownLabelError(
                f"Version {self.model_version} of {self.model_name} was registered without the SQL of its label, so "
                f"that its outcomes cannot be computed. {RETRAIN}"
            )
        return LabelDefinition(**asdict(self.terms), sql=self.label_sql)


@dataclass(frozen=True)
class Feature:
    """Model input.

    Attributes:
        view: Feature view of the input.
        name: Name of the feature.
        dtype: Feast type, such as ``Float64``.
        nullable: Whether null is a valid value.
        increasing: Whether a higher value can only raise the churn risk.
        log_odds: Whether the value is in log-odds already.
    """

    view: str
    name: str
    dtype: str
    nullable: bool
    increasing: bool = False
    log_odds: bool = False

    @property
    def is_categorical(self) -> bool:
        """Return whether the values are texts, which the input matrix holds as codes."""
        return self.dtype == "String"


@dataclass(frozen=True)
class FreshnessLimits:
    """Limits of the age of a stored view at the request: flagged beyond ``soft``, rejected beyond ``hard``."""

    soft: timedelta
    hard: timedelta


def model_inputs(store: "FeatureStore") -> list[Feature]:
    """List the inputs of the model, in the order of the feature service in the registry.

    Args:
        store: The feature store.

    Returns:
        The inputs.
    """
    inputs = []
    for projection in store.get_feature_service(FEATURE_SERVICE).feature_view_projections:
        view = store.registry.get_any_feature_view(projection.name, store.project)
        inputs += declared_features(projection.name, projection.features, view.tags)
    return inputs


class SliceOnlyInputError(HoldfastError):
    """Feature that defines slices only, read by the feature service."""


def slice_only_features(store: "FeatureStore") -> set[str]:
    """List the features of the registry that define slices of the evaluation and are no inputs of a model.

    Args:
        store: The feature store.

    Returns:
        Names of the fields in the tag ``slice_only`` of their view.

    Raises:
        SliceOnlyInputError: The feature service contains one, or an on-demand feature that reads one.
    """
    tagged = {
        (view.name, name)
        for view in store.list_all_feature_views()
        for name in view.tags.get("slice_only", "").split(",")
    }
    for projection in store.get_feature_service(FEATURE_SERVICE).feature_view_projections:
        view = store.registry.get_any_feature_view(projection.name, store.project)
        sources = getattr(view, "source_feature_view_projections", {}).values()
        read = {(part.name, field.name) for part in (projection, *sources) for field in part.features}
        if found := sorted(read & tagged):
            raise SliceOnlyInputError(
                f"The feature service {FEATURE_SERVICE} reads {':'.join(found[0])} through {projection.name}, but the "
                "tag `slice_only` of its view excludes it from the inputs of a model. Remove it from one of both."
            )
    return {name for _, name in tagged if name}


class UnorderedFeatureError(HoldfastError):
    """Declaration of a text that only a number can have."""


def declared_features(view: str, fields: Sequence["FeastField"], tags: Mapping[str, str]) -> list[Feature]:
    """List the features of a view with what its tags declare about them.

    Args:
        view: Name of the feature view.
        fields: Fields of the view.
        tags: Tags of the view: ``nullable``, ``increasing`` and ``log_odds`` list names of fields.

    Returns:
        Feature per field.

    Raises:
        UnorderedFeatureError: A text is declared as ``increasing`` or ``log_odds``.
    """
    nullable, increasing, log_odds = (tags.get(tag, "").split(",") for tag in DECLARATION_TAGS)
    for field in fields:
        if str(field.dtype) == "String" and field.name in {*increasing, *log_odds}:
            raise UnorderedFeatureError(
                f"{view}:{field.name} is a String, which has no order: remove it from the tags `increasing` and "
                "`log_odds` of its feature view."
            )
    return [
        Feature(
            view=view,
            name=field.name,
            dtype=str(field.dtype),
            nullable=field.name in nullable,
            increasing=field.name in increasing,
            log_odds=field.name in log_odds,
        )
        for field in fields
    ]


def freshness_limits(store: "FeatureStore") -> dict[str, FreshnessLimits]:
    """Read the freshness limits of the stored views, from ``ttl`` and the tag ``soft_limit_hours``.

    Args:
        store: The feature store.

    Returns:
        Feature view to its limits.
    """
    return {
        view.name: FreshnessLimits(timedelta(hours=float(view.tags["soft_limit_hours"])), view.ttl or timedelta.max)
        for view in store.list_feature_views()
    }


class MissingFeatureError(HoldfastError):
    """Null in a feature that is not nullable."""


def input_matrix(inputs: list[Feature], columns: dict[str, list[Any]]) -> Floats:
    """Convert feature values to the input matrix of the model, for training and serving alike.

    Args:
        inputs: Inputs of the model, in their order.
        columns: Feature to one value per row; None is null.

    Returns:
        Matrix of float64, shape (rows, inputs); a null of a nullable feature is NaN, a text is its code.

    Raises:
        MissingFeatureError: A feature that is not nullable is null; nulls are never imputed here.
    """
    matrix = np.empty((len(columns[inputs[0].name]), len(inputs)), dtype=np.float64)
    for i, feature in enumerate(inputs):
        values = columns[feature.name]
        # None becomes NaN
        matrix[:, i] = encode_categories(values) if feature.is_categorical else np.array(values, dtype=np.float64)
        if not feature.nullable and np.isnan(matrix[:, i]).any():
            row = int(np.flatnonzero(np.isnan(matrix[:, i]))[0])
            raise MissingFeatureError(
                f"{feature.view}:{feature.name} is null in row {row}, and is not declared nullable"
            )
    return matrix


def diff_registry_definitions(store: "FeatureStore", contract: ServedModel, inputs: list[str]) -> list[str]:
    """List the parts in which the feature definitions in the registry differ from those of a model.

    The label has no effect on the inputs of a model, so its code may have changed since the training.

    Args:
        store: The feature store.
        contract: Contract of the model.
        inputs: Names of the inputs that the feature service provides.

    Returns:
        Names of the parts.
    """
    parts = differing_parts(without_label(contract.fingerprint), feature_fingerprint(store))
    if inputs != contract.inputs:
        parts.append("inputs")
    if contract.feature_service != FEATURE_SERVICE:
        parts.append("feature service's name")
    return parts
