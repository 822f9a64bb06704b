"""Response bodies of each model, and of a selection of fields of several models.

A model's prediction is ``NAME_probability`` with the decision ``will_NAME`` (classification), or ``expected_NAME``
(regression).
"""

from functools import cache
from typing import Any

from pydantic import BaseModel, Field, create_model

from holdfast.core.model_names import CHURN, CHURN_COLUMN
from services.declared_models import DeclaredModel
from services.schemas import BatchItem, BatchPrediction, MissingPrediction, Prediction
from services.selection_fields import REASONS, response_names, selectable_fields


@cache
def prediction_schema(model: DeclaredModel) -> type[BaseModel]:
    """Return the response body of a model for one customer.

    Args:
        model: Model.

    Returns:
        :class:`Prediction` for churn, else a class with the fields of the model.
    """
    return Prediction if model.name == CHURN else _rename(Prediction, model)


@cache
def batch_schema(model: DeclaredModel) -> type[BaseModel]:
    """Return the response body of a model for many customers.

    Args:
        model: Model.

    Returns:
        :class:`BatchPrediction` for churn, else a class with the fields of the model.
    """
    if model.name == CHURN:
        return BatchPrediction
    return _rename(BatchPrediction, model, predictions=(list[_rename(BatchItem, model)], Field()))  # type: ignore[misc]


@cache
def selection_schemas() -> tuple[type[BaseModel], type[BaseModel]]:
    """Return the response bodies of a selection, for one and for many customers.

    Returns:
        Both classes; each response has only the selected fields.
    """
    chosen: dict[str, Any] = {}
    for name, field in selectable_fields().items():
        info = Prediction.model_fields.get(field.source)
        annotation: Any = list[str] if name == REASONS else info.annotation if info else float
        text = info.description if info and name == field.source else _DESCRIPTIONS.get(name)
        chosen[name] = (annotation | None, Field(default=None, description=text))
    problems: Any = (
        dict[str, MissingPrediction],
        Field(description="Models without a prediction, whose fields are null, with the reason."),
    )
    one = create_model("SelectedPrediction", customer_id=(str, ...), **chosen, problems=problems)
    status: Any = BatchItem.model_fields["status"].annotation
    item = create_model(
        "SelectedItem", customer_id=(str, ...), status=(status, ...), detail=(str | None, None), **chosen,
        problems=problems,
    )  # fmt: skip
    as_of = BatchPrediction.model_fields["as_of"]
    time: Any = as_of.annotation, as_of
    many: Any = (list[item], Field())
    return one, create_model("SelectedBatch", as_of=time, predictions=many)


_DESCRIPTIONS = {
    REASONS: "Texts of the reasons of churn, strongest first.",
    "value_at_risk": "churn_probability times expected_spend: an order for the retention list.",
}


def _rename(base: type[BaseModel], model: DeclaredModel, **replaced: Any) -> type[BaseModel]:
    names = response_names(model)
    fields: dict[str, Any] = {}
    for name, info in base.model_fields.items():
        if new := names.get(name, name):
            text = model.description if name == CHURN_COLUMN else info.description
            fields[new] = (info.annotation, Field(default=info.default, description=text))
    title = "".join(part.capitalize() for part in model.name.replace("-", "_").split("_"))
    return create_model(f"{title}{base.__name__}", __config__=base.model_config, **fields | replaced)
