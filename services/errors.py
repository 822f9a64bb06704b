"""Errors of the service and their HTTP form: problem details (RFC 9457)."""

import json
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from services.declared_models import declared_models

PROBLEM_JSON = "application/problem+json"
_RETRY_AFTER_SECONDS = 1

# Reasons for a missing score of one customer.
RejectionReason = Literal[
    "unknown_customer",
    "features_updating",
    "as_of_before_features",
    "features_too_old",
    "missing_feature",
    "invalid_feature",
    "store_unavailable",
]

# Title of each kind of problem.
_TITLES = {
    "unknown_customer": "Unknown customer",
    "features_updating": "Features are being updated",
    "as_of_before_features": "as_of is before the features",
    "features_too_old": "Features are too old",
    "missing_feature": "A feature is missing",
    "invalid_feature": "A feature is invalid",
    "no_reasons": "No reasons for this model",
    "not_ready": "Not ready",
    "store_unavailable": "The online store is unavailable",
    "overloaded": "Too many requests at once",
    "unauthorized": "No valid API key",
    "not_json": "Not JSON",
    "invalid_request": "Invalid request",
    "too_large": "Request too large",
    "unsupported_media_type": "Unsupported media type",
    "unknown_model": "Unknown model",
    "not_found": "Not found",
    "method_not_allowed": "Method not allowed",
    "timeout": "Timeout",
    "internal_error": "Internal error",
}
# Kind of problem of an HTTP status, where the phrase of the status is not the kind.
_KINDS = {500: "internal_error", 503: "not_ready", 504: "timeout"}
_MESSAGES = {
    404: "This path does not exist. POST /predict or /predict_batch for predictions.",
    405: "This path does not allow this method. Use POST for predictions.",
    500: "An unexpected error has occurred; the service's log holds the details.",
}


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:holdfast:problem:unknown_customer",
                "title": "Unknown customer",
                "status": 404,
                "detail": "Customer '4711' is not in the feature store.",
                "request_id": "0d4f7c9ab3f54d0e9d7a0c6f3f1d2b11",
            }
        }
    )

    type: str = Field(description="Kind of problem: urn:holdfast:problem:KIND. Kinds are stable; titles may change.")
    title: str
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong and what to do, in one sentence.")
    request_id: str = Field(description="Id of the request, also in the header X-Request-ID and in the log.")


class ServiceError(Exception):
    """A request fails.

    Args:
        status: HTTP status; a response with 503 has ``Retry-After``.
        kind: Kind of problem, a key of ``_TITLES``.
        message: One sentence for the caller, without internals.
        allow: Methods of a path that does not allow the request's method.
    """

    def __init__(self, status: int, kind: str, message: str, allow: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.allow = allow

    def to_response(self, request_id: str) -> Response:
        """Create the response.

        Args:
            request_id: Id of the request.

        Returns:
            Response with problem details.
        """
        body = {
            "type": f"urn:holdfast:problem:{self.kind}",
            "title": _TITLES[self.kind],
            "status": self.status,
            "detail": self.message,
            "request_id": request_id,
        }
        headers = {"X-Request-ID": request_id}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status == 503:
            headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
        if self.allow:
            headers["Allow"] = self.allow
        return Response(json.dumps(body), self.status, headers, media_type=PROBLEM_JSON)


class NotReadyError(ServiceError):
    """The service cannot score any request now.

    Args:
        message: One sentence for the caller, without internals.
        remedy: Cause and remedy for the operator; logged, never sent to a caller.
        kind: Kind of problem, a key of ``_TITLES``.
    """

    def __init__(self, message: str, remedy: str = "", kind: str = "not_ready") -> None:
        super().__init__(503, kind, message)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class StoreUnavailableError(NotReadyError):
    """The online store cannot be read now; a later request may succeed."""

    def __init__(self, remedy: str = "") -> None:
        super().__init__("The online store cannot be read now.", remedy, "store_unavailable")


class NoReasonsError(ServiceError):
    """The model's scores cannot be explained.

    Args:
        model_version: Version of the model.
        remedy: Cause for the operator; logged, never sent to a caller.
    """

    def __init__(self, model_version: str, remedy: str) -> None:
        message = f"Model version {model_version} gives no exact reasons. Send the request without explain."
        super().__init__(501, "no_reasons", message)
        self.remedy = remedy


def status_of(reason: RejectionReason, caller_chose_time: bool) -> int:
    """Return the HTTP status of a rejected customer.

    Args:
        reason: Reason of the rejection.
        caller_chose_time: The request has an ``as_of``.

    Returns:
        4xx if another request may succeed now, else 503.
    """
    if reason == "unknown_customer":
        return 404
    if reason in ("as_of_before_features", "features_too_old") and caller_chose_time:
        return 422
    return 503


def unknown_model_error() -> ServiceError:
    """Create the error of a path of a model that is not declared.

    Returns:
        Error 404, which lists the models.
    """
    return ServiceError(404, "unknown_model", f"There is no such model: choose of {', '.join(declared_models())}.")


def http_error(status: int, text: str = "", allow: str = "") -> ServiceError:
    """Create the error of a status that has one cause, or convert an error of BentoML.

    Args:
        status: HTTP status.
        text: Body of BentoML's response; used where the status has several causes.
        allow: Methods that the path allows.

    Returns:
        Error of the same status.
    """
    title = HTTPStatus(status).phrase
    kind = _KINDS.get(status) or title.lower().replace(" ", "_")
    message = _MESSAGES.get(status) or text or f"{title}."
    return ServiceError(status, kind if kind in _TITLES else "invalid_request", message, allow)


def to_service_error(error: Exception) -> ServiceError:
    """Convert any error.

    Args:
        error: Error.

    Returns:
        The same error, or an internal error in place of an unexpected one.
    """
    return error if isinstance(error, ServiceError) else http_error(500)


def validation_error(error: ValidationError) -> ServiceError:
    """Convert the error of a body that does not match its schema.

    Args:
        error: Pydantic's error.

    Returns:
        Error 400 or 422 that names the fields and never repeats their values.
    """
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        detail = f"The body is not valid JSON ({errors[0]['msg'].removeprefix('Invalid JSON: ')})."
        return ServiceError(400, "not_json", detail)
    reasons = [_field_error(item["type"], item["loc"], item["msg"]) for item in errors[:3]]
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    return ServiceError(422, "invalid_request", "; ".join(reasons) + more + ".")


def _field_error(kind: str, location: tuple[int | str, ...], message: str) -> str:
    field = ".".join(str(part)[:60] for part in location)
    if kind == "missing":
        return f"{field} is missing"
    if kind == "extra_forbidden":
        return f"{field!r} is not a field of this request"
    message = message.removeprefix("Value error, ").rstrip(".")
    return f"{field}: {message}" if field else message
