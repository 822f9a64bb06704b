"""Conversion of scoring results to HTTP response bodies."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from feature_repo.timestamps import from_epoch_us
from holdfast.core.model_names import CHURN, CHURN_COLUMN
from services.declared_models import DeclaredModel
from services.errors import ServiceError, status_of
from services.model_schemas import batch_schema, prediction_schema
from services.schemas import BatchItem, BatchPrediction, Prediction
from services.selection_fields import response_names

if TYPE_CHECKING:  # BentoML's first process imports this module, but neither models nor features
    from services.inference.scored_requests import ScoringResult

_SECOND_US = 1e6


def require_result(result: "ScoringResult | Exception") -> "ScoringResult":
    """Raise the error of a model.

    Args:
        result: Result or error of a model.

    Returns:
        The result.

    Raises:
        Exception: The error.
    """
    if isinstance(result, Exception):
        raise result
    return result


def to_prediction(result: "ScoringResult") -> Prediction:
    """Convert the result of a request for one customer by churn.

    Args:
        result: Scoring result of one customer.

    Returns:
        Response body.

    Raises:
        ServiceError: The customer was rejected.
    """
    return Prediction(**prediction_values(result))


def to_batch_prediction(result: "ScoringResult") -> BatchPrediction:
    """Convert the result of a request for many customers by churn.

    Args:
        result: Scoring result.

    Returns:
        Response body with one item per customer.
    """
    return BatchPrediction(**batch_values(result), predictions=[BatchItem(**item) for item in item_values(result)])


def to_model_prediction(model: DeclaredModel, result: "ScoringResult") -> BaseModel:
    """Convert the result of a request for one customer.

    Args:
        model: Model that scored.
        result: Scoring result of one customer.

    Returns:
        Response body.

    Raises:
        ServiceError: The customer was rejected, or the model has no prediction.
    """
    return prediction_schema(model)(**_rename(model, prediction_values(result)))


def to_model_batch(model: DeclaredModel, result: "ScoringResult") -> BaseModel:
    """Convert the result of a request for many customers.

    Args:
        model: Model that scored.
        result: Scoring result.

    Returns:
        Response body with one item per customer.
    """
    items = [_rename(model, item) for item in item_values(result)]
    return batch_schema(model)(**_rename(model, batch_values(result)), predictions=items)


def prediction_values(result: "ScoringResult") -> dict[str, Any]:
    """Return the fields of a response for one customer, by their names in :class:`Prediction`.

    Args:
        result: Scoring result of one customer.

    Returns:
        Values by name.

    Raises:
        ServiceError: The customer was rejected, or the model has no prediction.
    """
    batch, row = result.batch, result.start
    checked, scores = batch.inputs.checked, batch.scores
    features = checked.features
    if rejected := checked.rejected.get(row):
        status = status_of(rejected.reason, result.request.as_of is not None)
        raise ServiceError(status, rejected.reason, rejected.detail)
    contract = scores.models[row].contract
    prediction = float(scores.predictions[row])
    if prediction != prediction:  # NaN
        raise ServiceError(503, "missing_feature", _describe_missing(batch.models.model, features.customer_ids[row]))
    newest = int(scores.newest_us[row])
    return {
        "customer_id": features.customer_ids[row],
        CHURN_COLUMN: prediction,
        "will_churn": prediction >= contract.threshold,
        "threshold": contract.threshold,
        "model_version": contract.model_version,
        "feature_service": contract.feature_service,
        "feature_timestamp": from_epoch_us(newest),
        "feature_age_seconds": (int(features.as_of_us[row]) - newest) / _SECOND_US,
        "stale": bool(scores.stale[row]),
        "active": bool(scores.active[row]),
        "explanation": result.explanations.get(row),
    }


def batch_values(result: "ScoringResult") -> dict[str, Any]:
    """Return the fields of a response for many customers, without those of the customers.

    Args:
        result: Scoring result.

    Returns:
        Values by name.
    """
    batch = result.batch
    contract = batch.models.champion.contract
    return {
        "model_version": contract.model_version,
        "feature_service": contract.feature_service,
        "threshold": contract.threshold,
        "as_of": from_epoch_us(int(batch.inputs.checked.features.as_of_us[result.start])),
    }


def item_values(result: "ScoringResult") -> list[dict[str, Any]]:
    """Return the fields of each customer of a batch, by their names in :class:`BatchItem`.

    Args:
        result: Scoring result.

    Returns:
        Values by name, per customer in the order of the request.
    """
    batch, rows = result.batch, slice(result.start, result.stop)
    checked, scores = batch.inputs.checked, batch.scores
    features = checked.features
    times = {newest: from_epoch_us(newest) for newest in set(scores.newest_us[rows].tolist()) if newest >= 0}
    ages = ((features.as_of_us[rows] - scores.newest_us[rows]) / _SECOND_US).tolist()
    items: list[dict[str, Any]] = []
    for position, (row, prediction, newest, stale, active) in enumerate(
        zip(
            range(result.start, result.stop),
            scores.predictions[rows].tolist(),
            scores.newest_us[rows].tolist(),
            scores.stale[rows].tolist(),
            scores.active[rows].tolist(),
            strict=True,
        )
    ):
        customer_id = features.customer_ids[row]
        if rejected := checked.rejected.get(row):
            items.append({"customer_id": customer_id, "status": rejected.reason, "detail": rejected.detail})
            continue
        if prediction != prediction:  # NaN
            detail = _describe_missing(batch.models.model, customer_id)
            items.append({"customer_id": customer_id, "status": "missing_feature", "detail": detail})
            continue
        contract = scores.models[row].contract
        items.append(
            {
                "customer_id": customer_id,
                "status": "ok",
                CHURN_COLUMN: prediction,
                "will_churn": prediction >= contract.threshold,
                "model_version": contract.model_version,
                "feature_timestamp": times[newest],
                "feature_age_seconds": ages[position],
                "stale": stale,
                "active": active,
                "explanation": result.explanations.get(row),
            }
        )
    return items


def _rename(model: DeclaredModel, values: Mapping[str, Any]) -> dict[str, Any]:
    """Use the names of a model for its fields, and leave out those that its kind does not have."""
    if model.name == CHURN:
        return dict(values)
    names = response_names(model)
    return {new: value for name, value in values.items() if (new := names.get(name, name))}


def _describe_missing(model: str, customer_id: str) -> str:
    return f"The model {model} has no prediction for customer {customer_id!r}: an input that it needs is null."
