"""What stands before BentoML: bodies it would answer badly are refused here, and every error has one shape.

BentoML would parse a form or a multipart body too, log a traceback for each malformed request, and answer some
errors as text and some as JSON of three shapes.
"""

import logging
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.errors import error_response, validation_problem

_log = logging.getLogger("bentoml.holdfast")
_MAX_BODY = 1024 * 1024
_SENTENCES = {
    404: "There is nothing at this address. POST /predict or /predict_batch for predictions.",
    405: "This address does not answer this method. Predictions are asked for with POST.",
    500: "An unexpected error has occurred; the service's log has the details.",
}


class Gate:
    """ASGI middleware; ``bodies`` names the schema of each route that takes a body."""

    def __init__(self, app: ASGIApp, bodies: Mapping[str, type[BaseModel]]) -> None:
        self._app = app
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        schema = self._bodies.get(scope["path"]) if scope["method"] == "POST" else None
        if schema is not None:
            body = await _body(Request(scope, receive))
            refused = body if isinstance(body, Response) else _refused(schema, body)
            if refused is not None:
                await refused(scope, receive, send)
                return
            receive = _replay(bytes(body), receive) if isinstance(body, bytes) else receive
        await self._answered(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(scope, receive, send)
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            _log.exception("Unexpected error at %s", scope["path"])
            if answer.started:
                raise
            await error_response(500, _SENTENCES[500])(scope, receive, send)


class _Answer:
    """Passes an answer on; an error that is no JSON becomes one of ours."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._error: Message | None = None
        self._text = b""
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            content_type = _header(message, b"content-type") or ""
            if message["status"] >= 400 and not content_type.startswith("application/json"):
                self._error = message
                return
        if self._error is None:
            await self._send(message)
            return
        self._text += message.get("body", b"")
        if not message.get("more_body", False):
            await self._reshaped(self._error)(self._scope, self._receive, self._send)

    def _reshaped(self, start: Message) -> Response:
        status = start["status"]
        text = _SENTENCES.get(status) or self._text.decode(errors="replace").strip()
        allow = _header(start, b"allow")
        return error_response(status, text or f"Error {status}.", {"allow": allow} if allow else None)


def _refused(schema: type[BaseModel], body: bytes) -> Response | None:
    try:
        schema.model_validate_json(body)
    except ValidationError as error:
        return error_response(*validation_problem(error))
    return None


async def _body(request: Request) -> bytes | Response:
    media_type = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if media_type != "application/json":
        return error_response(415, "Send the request as JSON, with Content-Type: application/json.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            return error_response(413, f"The body is longer than {_MAX_BODY} bytes.")
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _header(start: Message, name: bytes) -> str | None:
    for key, value in start.get("headers", []):
        if key.lower() == name:
            return bytes(value).decode("latin-1")
    return None
