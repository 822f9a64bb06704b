"""Responses with selected fields of several models; a model without a prediction leaves its fields null."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from feature_repo.timestamps import from_epoch_us
from holdfast.core.model_names import CHURN_COLUMN
from services.api.responses import item_values, prediction_values
from services.errors import ServiceError, to_service_error
from services.observability.metrics import METRICS
from services.schemas import MissingPrediction
from services.selection_fields import REASONS, THRESHOLD, selectable_fields

if TYPE_CHECKING:
    from services.inference.scored_requests import ModelResults

_Values = Mapping[str, Any] | MissingPrediction  # of one model for one customer


def to_selection(results: "ModelResults", fields: Sequence[str]) -> dict[str, Any]:
    """Convert the results of a request for one customer.

    Args:
        results: Result or error by model.
        fields: Selected fields.

    Returns:
        Response body.

    Raises:
        ServiceError: No model has a prediction: the error of the first one.
    """
    found: dict[str, _Values] = {}
    errors: list[ServiceError] = []
    for model, result in results.items():
        try:
            if isinstance(result, Exception):
                raise result
            found[model] = prediction_values(result)
        except Exception as error:
            errors.append(to_service_error(error))
            found[model] = _to_missing(model, errors[-1].kind, errors[-1].message)
    if len(errors) == len(results):
        raise errors[0]
    customer_id = next(values["customer_id"] for values in found.values() if not isinstance(values, MissingPrediction))
    return {"customer_id": customer_id} | _select(found, fields)


def to_batch_selection(results: "ModelResults", fields: Sequence[str]) -> dict[str, Any]:
    """Convert the results of a request for many customers.

    Args:
        results: Result or error by model.
        fields: Selected fields.

    Returns:
        Response body with one item per customer; an item is ``ok`` if a model has a prediction.

    Raises:
        ServiceError: No model can score any customer: the error of the first one.
    """
    errors = {model: to_service_error(result) for model, result in results.items() if isinstance(result, Exception)}
    scored = {model: result for model, result in results.items() if not isinstance(result, Exception)}
    if not scored:
        raise next(iter(errors.values()))
    missing = {model: _to_missing(model, error.kind, error.message) for model, error in errors.items()}
    any_result = next(iter(scored.values()))
    columns = {
        model: [
            item | {THRESHOLD: result.batch.scores.models[row].contract.threshold,
                    "feature_service": result.batch.models.champion.contract.feature_service}
            if item["status"] == "ok"
            else _to_missing(model, item["status"], item["detail"])
            for row, item in zip(range(result.start, result.stop), item_values(result), strict=True)
        ]
        for model, result in scored.items()
    }  # fmt: skip
    items = []
    for number, customer_id in enumerate(any_result.request.customer_ids):
        found: dict[str, Any] = {
            model: missing[model] if model in missing else columns[model][number] for model in results
        }
        reasons = [values for values in found.values() if isinstance(values, MissingPrediction)]
        status = {"status": "ok", "detail": None}
        if len(reasons) == len(found):
            first = next(found[model] for model in scored)
            status = {"status": first.kind, "detail": first.detail}
        items.append({"customer_id": customer_id} | status | _select(found, fields))
    as_of_us = any_result.batch.inputs.checked.features.as_of_us[any_result.start]
    return {"as_of": from_epoch_us(int(as_of_us)), "predictions": items}


def _to_missing(model: str, kind: str, detail: str) -> MissingPrediction:
    METRICS.missing_predictions.add(model, kind)
    return MissingPrediction(kind=kind, detail=detail)


def _select(found: Mapping[str, _Values], fields: Sequence[str]) -> dict[str, Any]:
    known = selectable_fields()
    selected: dict[str, Any] = {}
    for name in fields:
        values = [found[model] for model in known[name].models]
        if any(isinstance(one, MissingPrediction) for one in values):
            selected[name] = None
        elif len(values) == 2:  # the value at risk
            selected[name] = values[0][CHURN_COLUMN] * values[1][CHURN_COLUMN]  # type: ignore[index]
        else:
            value = values[0][known[name].source]  # type: ignore[index]
            selected[name] = [reason.text for reason in value.reasons] if name == REASONS else value
    problems = {model: values for model, values in found.items() if isinstance(values, MissingPrediction)}
    return selected | {"problems": problems}
