"""Endpoints for predictions: the path, the model and the request body of each, and its response."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import to_json

from holdfast.core.model_names import CHURN
from services.api.responses import (
    require_result,
    to_batch_prediction,
    to_model_batch,
    to_model_prediction,
    to_prediction,
)
from services.api.selections import to_batch_selection, to_selection
from services.declared_models import DeclaredModel, declared_models
from services.errors import ServiceError, unknown_model_error, validation_error
from services.schemas import (
    ModelBatchRequest,
    ModelRequest,
    PredictBatchRequest,
    PredictRequest,
    ScoreBatchRequest,
    ScoreRequest,
)
from services.selection_fields import models_of, needs_explanation

if TYPE_CHECKING:
    from services.inference.scored_requests import ModelResults

_Schema = (
    type[PredictRequest] | type[PredictBatchRequest] | type[ScoreRequest] | type[ScoreBatchRequest]
    | type[ModelRequest] | type[ModelBatchRequest]
)  # fmt: skip
_PREFIX = "/models/"
_BATCH = "predict_batch"
_ACTIONS = ("predict", _BATCH)


@dataclass(frozen=True)
class PredictionRoute:
    """Endpoint for predictions.

    Attributes:
        model: Model that answers, unless the request selects fields.
        schema: Request body.
        is_batch: The request is for many customers.
    """

    model: DeclaredModel
    schema: _Schema
    is_batch: bool

    def parse(self, body: bytes) -> "ParsedRequest":
        """Parse a request body.

        Args:
            body: JSON.

        Returns:
            Request.

        Raises:
            ServiceError: The body does not match the schema.
        """
        try:
            request: Any = self.schema.model_validate_json(body)
        except ValidationError as error:
            raise validation_error(error) from None
        ids = request.customer_ids if self.is_batch else [request.customer_id]
        explain = getattr(request, "explain", False)
        fields: Sequence[str] | None = getattr(request, "fields", None)
        if fields is None:
            return ParsedRequest(ids, request.as_of, explain, (self.model.name,), None)
        if explain:
            text = "Send explain or fields: the fields explanation and reasons explain the score."
            raise ServiceError(422, "invalid_request", text)
        return ParsedRequest(ids, request.as_of, needs_explanation(fields), models_of(fields), fields)

    def respond(self, request: "ParsedRequest", results: "ModelResults") -> tuple[bytes, str, str]:
        """Convert the results of a request to its response.

        Args:
            request: Request.
            results: Result or error by model.

        Returns:
            JSON, and model and version that answered: the first of several.

        Raises:
            ServiceError: No model has a prediction.
        """
        if request.fields is not None:
            select = to_batch_selection if self.is_batch else to_selection
            content = to_json(select(results, request.fields))
            model, first = next((name, one) for name, one in results.items() if not isinstance(one, Exception))
            models, row = first.batch.models, first.start
            answered = models.champion if self.is_batch else first.batch.scores.models[row]
            return content, model, answered.contract.model_version
        result = require_result(results[self.model.name])
        response: Any
        if self.model.name == CHURN:
            response = to_batch_prediction(result) if self.is_batch else to_prediction(result)
        elif self.is_batch:
            response = to_model_batch(self.model, result)
        else:
            response = to_model_prediction(self.model, result)
        return response.model_dump_json().encode(), self.model.name, response.model_version


class ParsedRequest(NamedTuple):
    """Request for predictions.

    Attributes:
        customer_ids: Customers.
        as_of: Time to predict for; None: now.
        explain: Add explanations.
        models: Models that score.
        fields: Selected fields; None: all fields of the one model.
    """

    customer_ids: Sequence[str]
    as_of: Any
    explain: bool
    models: tuple[str, ...]
    fields: Sequence[str] | None


def prediction_routes() -> dict[str, PredictionRoute]:
    """List the endpoints for predictions.

    Returns:
        Endpoints by path; those of churn have a second path without the model.
    """
    routes: dict[str, PredictionRoute] = {}
    for model in declared_models().values():
        for action, schema in zip(_ACTIONS, _schemas_of(model), strict=True):
            route = PredictionRoute(model, schema, is_batch=action == _BATCH)
            routes[f"{_PREFIX}{model.name}/{action}"] = route
            if model.name == CHURN:
                routes[f"/{action}"] = route
    return routes


def unknown_model(path: str) -> ServiceError | None:
    """Return the error of a path of a model that is not declared.

    Args:
        path: Path of a request that no endpoint has.

    Returns:
        Error; None for any other path.
    """
    parts = path.removeprefix(_PREFIX).split("/")
    if not path.startswith(_PREFIX) or len(parts) != 2 or parts[1] not in _ACTIONS or parts[0] in declared_models():
        return None
    return unknown_model_error()


def _schemas_of(model: DeclaredModel) -> tuple[_Schema, _Schema]:
    if model.name == CHURN:
        return PredictRequest, PredictBatchRequest
    return (ScoreRequest, ScoreBatchRequest) if model.kind == "classification" else (ModelRequest, ModelBatchRequest)
