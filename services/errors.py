"""What can go wrong while answering, and the one place that turns it into an answer: problem details (RFC 9457)."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

PROBLEM_JSON = "application/problem+json"
RETRY_SECONDS = 1

# Why one customer gets no score.
RejectionReason = Literal[
    "unknown_customer",
    "features_updating",
    "as_of_before_features",
    "features_too_old",
    "missing_feature",
    "invalid_feature",
    "store_unavailable",
]

# Every kind of problem, with its title.
TITLES = {
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
    "not_found": "Not found",
    "method_not_allowed": "Method not allowed",
    "timeout": "Timeout",
    "internal_error": "Internal error",
}


class Problem(BaseModel):
    """An error, as RFC 9457 wants it."""

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

    type: str = Field(description="The kind of problem: urn:holdfast:problem:KIND. Kinds stay; titles may change.")
    title: str
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong, in one sentence, and what would help.")
    request_id: str = Field(description="Also in the header X-Request-ID, and in the service's log.")


class ServiceError(Exception):
    """The request gets no answer.

    ``message`` is one sentence for the caller, without internals; the caller may try again after
    ``retry_after`` seconds.
    """

    def __init__(self, status: int, kind: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What the answer's headers say about it."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


class NotReadyError(ServiceError):
    """The service must not score now, whatever the request.

    ``remedy`` is for who runs the service: it goes to the log, never to a caller.
    """

    def __init__(self, message: str, remedy: str = "", kind: str = "not_ready") -> None:
        super().__init__(503, kind, message, RETRY_SECONDS)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class StoreUnavailableError(NotReadyError):
    """The online store cannot be read now. Trying again helps once it is back."""

    def __init__(self, remedy: str = "") -> None:
        super().__init__("The online store cannot be read now.", remedy, "store_unavailable")


class NoReasonsError(ServiceError):
    """The model gives scores, but none that can be explained. ``remedy`` as above."""

    def __init__(self, model_version: str, remedy: str) -> None:
        message = f"Model version {model_version} gives no exact reasons. Ask without explain."
        super().__init__(501, "no_reasons", message)
        self.remedy = remedy


def status_of(refusal: RejectionReason, caller_chose_time: bool) -> int:
    """The HTTP status of a refusal: 4xx where another request would do better, else 503."""
    if refusal == "unknown_customer":
        return 404
    if refusal in ("as_of_before_features", "features_too_old") and caller_chose_time:
        return 422
    return 503


def problem_response(
    status: int, kind: str, detail: str, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Every error answer of the service, whoever found the error."""
    body: dict[str, Any] = {
        "type": f"urn:holdfast:problem:{kind}",
        "title": TITLES[kind],
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    return Response(json.dumps(body), status, {"X-Request-ID": request_id, **(headers or {})}, media_type=PROBLEM_JSON)


def validation_error(error: ValidationError) -> ServiceError:
    """For a body that does not fit its schema; names the fields, never echoes their values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        detail = f"The body is not valid JSON ({found[0]['msg'].removeprefix('Invalid JSON: ')})."
        return ServiceError(400, "not_json", detail)
    reasons = [_reason(item["type"], item["loc"], item["msg"]) for item in found[:3]]
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return ServiceError(422, "invalid_request", "; ".join(reasons) + more + ".")


def _reason(kind: str, location: tuple[int | str, ...], message: str) -> str:
    field = ".".join(str(part)[:60] for part in location)
    if kind == "missing":
        return f"{field} is missing"
    if kind == "extra_forbidden":
        return f"{field!r} is not a field of this request"
    message = message.removeprefix("Value error, ").rstrip(".")
    return f"{field}: {message}" if field else message
