"""OpenAPI document at ``/docs.json``.

BentoML's own document lacks the service's errors and nullable fields.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from holdfast.core.model_names import CHURN
from services.api.routes import PredictionRoute, prediction_routes
from services.declared_models import declared_models
from services.errors import PROBLEM_JSON, Problem
from services.model_schemas import batch_schema, prediction_schema, selection_schemas
from services.schemas import ModelStatus, ModelStatuses

_REFS = "#/components/schemas/{model}"
_REQUEST_ID = {"X-Request-ID": {"schema": {"type": "string"}, "description": "The request's id, also in the log."}}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before trying again."}}
_NOT_READY = "Not ready; the text names the reason."
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
    routes = prediction_routes()
    models: set[type[BaseModel]] = {Problem, ModelStatus, ModelStatuses}
    paths: dict[str, Any] = {}
    for path, route in routes.items():
        responses = _responses(route)
        models |= {route.schema, *responses}
        paths[path] = _post(path, route, responses)
    _, schemas = models_json_schema(
        [
            (model, "validation" if model.__name__.endswith("Request") else "serialization")
            for model in sorted(models, key=lambda model: model.__name__)
        ],
        ref_template=_REFS,
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": version},
        "servers": [{"url": "."}],
        "security": [{"bearer": []}, {"header": []}],
        "paths": {
            **paths,
            "/models": _get_json(
                "models", "The models and their served versions.", ModelStatuses, {401: _PROBLEMS[401]}
            ),
            "/models/{name}/readyz": _get_json(
                "model_readyz",
                "The model gives predictions now.",
                ModelStatus,
                {404: "The model is not declared.", 503: _NOT_READY},
                of_model=True,
            ),
            "/livez": _get("livez", "The process responds.", {}),
            "/readyz": _get("readyz", "Predictions are served now.", {503: _NOT_READY}),
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


def _responses(route: PredictionRoute) -> list[type[BaseModel]]:
    schemas = [batch_schema(route.model) if route.is_batch else prediction_schema(route.model)]
    return schemas + ([selection_schemas()[route.is_batch]] if route.model.name == CHURN else [])


def _post(path: str, route: PredictionRoute, responses: list[type[BaseModel]]) -> dict[str, Any]:
    name = path.strip("/").replace("/", "_")
    request = route.schema
    if route.is_batch:
        summary = f"Predictions of {route.model.name} for up to 1000 customers; a customer without one has the reason."
    else:
        summary = f"Prediction of {route.model.name} for one customer."
    problems = {} if route.is_batch else {404: "The customer is not in the feature store."}
    refs = [_ref(model) for model in responses]
    success = {
        "description": "The prediction.",
        "headers": _REQUEST_ID,
        "content": {"application/json": {"schema": refs[0] if len(refs) == 1 else {"anyOf": refs}}},
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


def _get_json(
    name: str, summary: str, response: type[BaseModel], problems: dict[int, str], of_model: bool = False
) -> dict[str, Any]:
    found = _get(name, summary, problems)
    operation = found["get"]
    operation["responses"]["200"] = {
        "description": "The state.",
        "headers": _REQUEST_ID,
        "content": {"application/json": {"schema": _ref(response)}},
    }
    if of_model:
        schema = {"type": "string", "enum": list(declared_models())}
        operation["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": schema}]
    else:
        del operation["security"]
    return found


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
