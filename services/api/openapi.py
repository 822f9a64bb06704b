"""OpenAPI document at ``/docs.json``.

BentoML's own document lacks the service's errors and nullable fields.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.errors import PROBLEM_JSON, Problem
from services.schemas import BatchPrediction, PredictBatchRequest, Prediction, PredictRequest

_REFS = "#/components/schemas/{model}"
_REQUEST_ID = {"X-Request-ID": {"schema": {"type": "string"}, "description": "The request's id, also in the log."}}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before trying again."}}
_PROBLEMS = {
    400: "The body is not JSON.",
    401: "No valid API key.",
    413: "The body is too long.",
    415: "The body is not sent as JSON.",
    422: "The body does not match its schema, or the features cannot be used at as_of.",
    500: "An unexpected error.",
    501: "The model gives no exact reasons.",
    503: "No score now: the service is not ready or has too many requests, or the customer's features are missing, "
    "outdated or being updated.",
    504: "No response in time.",
}


def openapi_document(title: str, description: str, version: str) -> dict[str, Any]:
    """Describe the API in OpenAPI 3.1.

    Args:
        title: Name of the service.
        description: Description of the service.
        version: Version of the bento.

    Returns:
        OpenAPI document.
    """
    models: list[type[BaseModel]] = [PredictRequest, PredictBatchRequest, Prediction, BatchPrediction, Problem]
    _, schemas = models_json_schema(
        [(model, "validation" if model.__name__.endswith("Request") else "serialization") for model in models],
        ref_template=_REFS,
    )
    unknown = {404: "The customer is not in the feature store."}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": version},
        "servers": [{"url": "."}],
        "security": [{"bearer": []}, {"header": []}],
        "paths": {
            "/predict": _post("predict", "Churn probability of one customer.", PredictRequest, Prediction, unknown),
            "/predict_batch": _post(
                "predict_batch",
                "Churn probabilities of up to 1000 customers; a customer without a score has the reason instead.",
                PredictBatchRequest,
                BatchPrediction,
                {},
            ),
            "/livez": _get("livez", "The process responds.", {}),
            "/readyz": _get("readyz", "Predictions are served now.", {503: "Not ready; the text names the reason."}),
            "/metrics": _get("metrics", "Metrics for Prometheus.", {}),
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _post(
    name: str, summary: str, request: type[BaseModel], response: type[BaseModel], problems: dict[int, str]
) -> dict[str, Any]:
    success = {
        "description": "The prediction.",
        "headers": _REQUEST_ID,
        "content": {"application/json": {"schema": _ref(response)}},
    }
    return {
        "post": {
            "operationId": name,
            "summary": summary,
            "parameters": [
                {
                    "name": "X-Request-ID",
                    "in": "header",
                    "required": False,
                    "schema": {"type": "string"},
                    "description": "The request's id, up to 64 letters, digits and . _ : -; otherwise it is replaced.",
                }
            ],
            "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(request)}}},
            "responses": {"200": success} | _problems(_PROBLEMS | problems),
        }
    }


def _get(name: str, summary: str, problems: dict[int, str]) -> dict[str, Any]:
    success = {"description": "The text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "security": [],
            "responses": {"200": success} | _problems(problems),
        }
    }


def _problems(descriptions: dict[int, str]) -> dict[str, Any]:
    return {
        str(status): {
            "description": description,
            "headers": _REQUEST_ID | (_RETRY if status == 503 else {}),
            "content": {PROBLEM_JSON: {"schema": _ref(Problem)}},
        }
        for status, description in sorted(descriptions.items())
    }


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFS.format(model=model.__name__)}
