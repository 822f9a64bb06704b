"""Fields that a request can select, of one or several models.

These are the fields of ``/predict`` and, of each model, its prediction and ``NAME_version``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from holdfast.core.model_names import CHURN, CHURN_COLUMN
from services.declared_models import DeclaredModel, declared_models

_SPEND = "spend"
DECISION, VERSION, THRESHOLD, EXPLANATION = "will_churn", "model_version", "threshold", "explanation"
REASONS, VALUE_AT_RISK = "reasons", "value_at_risk"
# Fields of a prediction of churn besides the customer, as services.schemas.Prediction has them.
PREDICTION_FIELDS = (
    CHURN_COLUMN,
    DECISION,
    THRESHOLD,
    VERSION,
    "feature_service",
    "feature_timestamp",
    "feature_age_seconds",
    "stale",
    "active",
    EXPLANATION,
)


@dataclass(frozen=True)
class SelectableField:
    """Field of a selection.

    Attributes:
        models: Models that give the field.
        source: Name of the field in a prediction of churn; empty for the value at risk, which has two models.
    """

    models: tuple[str, ...]
    source: str


def response_names(model: DeclaredModel) -> dict[str, str]:
    """Return the names of a model's fields by those of a prediction of churn.

    Args:
        model: Model.

    Returns:
        Names that differ; "" for a field that the kind of model does not have.
    """
    if model.kind == "classification":
        return {CHURN_COLUMN: model.column, DECISION: f"will_{model.name}"}
    return {CHURN_COLUMN: model.column, DECISION: "", THRESHOLD: "", EXPLANATION: ""}


@cache
def selectable_fields() -> dict[str, SelectableField]:
    """List the fields of a selection.

    Returns:
        Fields by name.
    """
    models = declared_models()
    found = {name: SelectableField((CHURN,), name) for name in PREDICTION_FIELDS}
    found[REASONS] = SelectableField((CHURN,), EXPLANATION)
    for model in models.values():
        sources = {name: source for source, name in response_names(model).items() if name}
        for name, source in (sources | {f"{model.name}_version": VERSION}).items():
            found.setdefault(name, SelectableField((model.name,), source))
    if _SPEND in models:
        found[VALUE_AT_RISK] = SelectableField((CHURN, _SPEND), "")
    return found


def models_of(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the models that give fields.

    Args:
        fields: Names of selectable fields.

    Returns:
        Names of the models, in the order of :func:`declared_models`.
    """
    known = selectable_fields()
    used = {model for field in fields for model in known[field].models}
    return tuple(name for name in declared_models() if name in used)


def needs_explanation(fields: Sequence[str]) -> bool:
    """Check whether fields are parts of the explanation.

    Args:
        fields: Names of selectable fields.

    Returns:
        True if the score of churn has to be explained.
    """
    return not {EXPLANATION, REASONS}.isdisjoint(fields)


def require_selectable(name: str) -> str:
    """Check the name of a field.

    Args:
        name: Name.

    Returns:
        The same name.

    Raises:
        ValueError: There is no such field.
    """
    if name not in (known := selectable_fields()):
        raise ValueError(f"choose of {', '.join(known)}")
    return name


def describe_names(schema: dict[str, Any]) -> None:
    """Add the names to the JSON schema of a field's name.

    Args:
        schema: JSON schema, which is changed.
    """
    schema["enum"] = list(selectable_fields())
