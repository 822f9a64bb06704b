"""What can go wrong while answering, and the one place that turns it into an HTTP answer."""

from typing import Literal

from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

Refusal = Literal[
    "unknown_customer", "features_updating", "as_of_before_features", "features_too_old", "missing_feature"
]


class ServiceError(Exception):
    """The request gets no answer.

    ``message`` is one sentence for the caller, without internals; the caller may try again after
    ``retry_after`` seconds.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class NotReadyError(ServiceError):
    """The service must not score now, whatever the request.

    ``remedy`` is for who runs the service: it goes to the log, never to a caller.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(503, message)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class NoReasonsError(ServiceError):
    """The model gives scores, but none that can be explained. ``remedy`` as above."""

    def __init__(self, model_version: str, remedy: str) -> None:
        super().__init__(501, f"Model version {model_version} gives no exact reasons. Ask without explain.")
        self.remedy = remedy


def status_of(refusal: Refusal, caller_chose_time: bool) -> int:
    """The HTTP status of a refusal: 4xx where another request would do better, else 503."""
    if refusal == "unknown_customer":
        return 404
    if refusal in ("missing_feature", "features_updating") or not caller_chose_time:
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
