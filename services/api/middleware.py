"""The front door: predictions are answered here, and every error of the service leaves in one shape.

BentoML's own dispatch costs several times what a prediction does, parses forms and multipart bodies too, logs a
traceback for each malformed request and has three shapes of errors. So requests for predictions are let in, read and
answered here, by the methods of the service that BentoML describes; all else is BentoML's.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import bentoml
from pydantic import BaseModel, ValidationError
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.authorization import Authorizer
from services.api.bentoml_passthrough import DETAILS, BentoPassthrough
from services.errors import RETRY_SECONDS, ServiceError, problem_response, validation_error
from services.observability.logs import LOG
from services.observability.metrics import METRICS
from services.settings import load_serving_settings

_DOCS = "/docs.json"
_PAGES = frozenset({"/", _DOCS, "/healthz", "/livez", "/metrics", "/readyz", "/schema.json"})
_MAX_BODY = 1024 * 1024
_DEADLINE_SECONDS = 20.0  # for the body to arrive and be answered
_CALLER_HAS_GONE = 499  # as nginx counts them
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True)
class ApiRoute:
    """A prediction: what its body must be, and who answers it: called with service, body and request id.

    ``weight`` says as how many requests one counts.
    """

    schema: type[BaseModel]
    answer: Callable[[Any, Any, str], Awaitable[BaseModel]]
    weight: Callable[[Any], int] = lambda request: 1


class ApiMiddleware:
    """ASGI middleware; ``routes`` are answered here, and ``/docs.json`` with what ``describe`` returns."""

    def __init__(self, app: ASGIApp, routes: Mapping[str, ApiRoute], describe: Callable[[], dict[str, Any]]) -> None:
        settings = load_serving_settings()
        self._app = app
        self._routes = routes
        self._describe = describe
        self._callers = Authorizer(settings)
        self._max_concurrency = settings.max_concurrency
        self._service: Any = None
        self._active = 0
        self._entry: ASGIApp = self._let_in
        if settings.cors_origins:
            self._entry = CORSMiddleware(
                self._let_in,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
                expose_headers=["X-Request-ID", "Retry-After"],
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or pass it on."""
        if scope["type"] == "http":
            await self._entry(scope, receive, send)
            return
        if scope["type"] != "lifespan":
            await send({"type": "websocket.close"})
            return

        async def noted(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._service = bentoml.get_current_service()
            await send(message)

        await self._app(scope, receive, noted)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"])
        headers = dict(scope["headers"])
        if scope["path"] == _DOCS and scope["method"] == "GET":
            await _send_json(send, json.dumps(self._describe()).encode(), request_id_of(headers))
            return
        if route is None or scope["method"] != "POST":
            await self._without_prediction(scope, receive, send, request_id_of(headers))
            return
        started = time.perf_counter()
        request_id = request_id_of(headers)
        status, version = 500, ""
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                answer = await self._answer(route, scope, headers, receive, request_id)
            if answer is None:
                status = _CALLER_HAS_GONE
                return
            status, version = 200, getattr(answer, "model_version", "")
            await _send_json(send, answer.model_dump_json().encode(), request_id)
        except ServiceError as error:
            status = error.status
            refusal = problem_response(status, error.kind, error.message, request_id, error.headers)
            await refusal(scope, receive, send)
        except TimeoutError:
            status = 504
            await problem_response(
                504, "timeout", f"The request was not answered within {_DEADLINE_SECONDS:.0f} seconds.", request_id
            )(scope, receive, send)
        except Exception:
            LOG.exception("Unexpected error at %s, request %s", scope["path"], request_id)
            await problem_response(500, "internal_error", DETAILS[500], request_id)(scope, receive, send)
        finally:
            METRICS.answered(scope["path"], status, version, time.perf_counter() - started)

    async def _without_prediction(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Only what reads goes on to BentoML: it would answer predictions too, at addresses that look like ours."""
        if scope["method"] in ("GET", "HEAD"):
            await BentoPassthrough(scope, receive, send, request_id).by(self._app)
        elif scope["path"] in self._routes or scope["path"] in _PAGES:
            allow = {"Allow": "POST" if scope["path"] in self._routes else "GET"}
            await problem_response(405, "method_not_allowed", DETAILS[405], request_id, allow)(scope, receive, send)
        else:
            await problem_response(404, "not_found", DETAILS[404], request_id)(scope, receive, send)

    async def _answer(
        self, route: ApiRoute, scope: Scope, headers: dict[bytes, bytes], receive: Receive, request_id: str
    ) -> BaseModel | None:
        """The answer; None when the caller has gone."""
        self._callers.require(scope, headers)
        weight = 0
        try:
            self._take(1, own=0)
            weight = 1
            body = await _body(headers, receive)
            if body is None:
                return None
            try:
                request = route.schema.model_validate_json(body)
            except ValidationError as error:
                raise validation_error(error) from None
            more = route.weight(request) - 1
            self._take(more, own=1)
            weight += more
            return await route.answer(self._service, request, request_id)
        finally:
            self._active -= weight
            METRICS.requests_active.set(self._active)

    def _take(self, weight: int, own: int) -> None:
        """Let so much more in, of a request that holds ``own`` already; one that is alone is never too much."""
        if self._active + weight > self._max_concurrency and self._active > own:
            raise ServiceError(503, "overloaded", "Too many requests at once; try again.", RETRY_SECONDS)
        self._active += weight
        METRICS.requests_active.set(self._active)


def new_request_id() -> str:
    """Of a request that came without one."""
    return os.urandom(16).hex()


def request_id_of(headers: dict[bytes, bytes]) -> str:
    """The caller's own, if it is harmless in a log, else a new one."""
    given = headers.get(b"x-request-id")
    if given and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return new_request_id()


async def _body(headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
    """The whole body; None when the caller has gone."""
    media_type = headers.get(b"content-type", b"")
    if media_type != b"application/json" and media_type.split(b";")[0].strip().lower() != b"application/json":
        raise ServiceError(
            415, "unsupported_media_type", "Send the request as JSON, with Content-Type: application/json."
        )
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > _MAX_BODY:
            raise ServiceError(413, "too_large", f"The body is longer than {_MAX_BODY} bytes.")
        if not message.get("more_body", False):
            return body


async def _send_json(send: Send, content: bytes, request_id: str) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"x-request-id", request_id.encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
