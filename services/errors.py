"""What can go wrong while answering, and the one place that turns it into an HTTP answer."""

from typing import Literal

from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

Refusal = Literal["unknown_customer", "features_too_old", "missing_feature", "as_of_before_features"]


class ServiceError(Exception):
    """The request gets no answer; ``message`` is one sentence for the caller, without internals."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class NotReadyError(ServiceError):
    """The service must not score now, whatever the request."""

    def __init__(self, message: str) -> None:
        super().__init__(503, message)


class StoreUnavailableError(NotReadyError):
    """The feature store cannot be read at all."""


def status_of(refusal: Refusal, caller_chose_time: bool) -> int:
    """The HTTP status of a refusal: 4xx where another request would do better, else 503."""
    if refusal == "unknown_customer":
        return 404
    if refusal == "missing_feature" or not caller_chose_time:
        return 503
    return 422


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Every error answer of the service, whoever found the error."""
    return JSONResponse({"error": message}, status_code=status, headers=headers)


def validation_problem(error: ValidationError) -> tuple[int, str]:
    """Status and sentence for a body that does not fit its schema; names the fields, never echoes their values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return 400, f"The body is not valid JSON ({found[0]['msg'].removeprefix('Invalid JSON: ')})."
    reasons = [_reason(item["type"], item["loc"], item["msg"]) for item in found[:3]]
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return 422, "; ".join(reasons) + more + "."


def _reason(kind: str, location: tuple[int | str, ...], message: str) -> str:
    field = ".".join(str(part)[:60] for part in location)
    if kind == "missing":
        return f"{field} is missing"
    if kind == "extra_forbidden":
        return f"{field!r} is not a field of this request"
    message = message.removeprefix("Value error, ").rstrip(".")
    return f"{field}: {message}" if field else message
