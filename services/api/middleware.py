"""ASGI middleware: routes predictions, authorizes, limits size and concurrency, returns all errors as problem details.

BentoML's own dispatch costs several times as much as a prediction, also parses forms and multipart bodies, logs a
traceback for each malformed request and has three error formats. Therefore requests for predictions are handled here,
by the methods of the service that BentoML describes; BentoML handles all other requests.
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
from services.settings import ServingSettings

_DOCS = "/docs.json"
_PAGES = frozenset({"/", _DOCS, "/healthz", "/livez", "/metrics", "/readyz", "/schema.json"})
_MAX_BODY = 1024 * 1024
_DEADLINE_SECONDS = 20.0  # from the first byte of the request to the response
_CLIENT_CLOSED_REQUEST = 499  # nginx's status
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True)
class ApiRoute:
    """Endpoint for predictions.

    Attributes:
        schema: Model of the request body.
        handle: Called with service, request body and request id; returns the response body.
        weight: Number of concurrent requests that a request counts as.
    """

    schema: type[BaseModel]
    handle: Callable[[Any, Any, str], Awaitable[BaseModel]]
    weight: Callable[[Any], int] = lambda request: 1


class ApiMiddleware:
    """ASGI middleware in front of BentoML.

    Args:
        app: BentoML's ASGI application.
        routes: Endpoints for predictions by path.
        describe: Returns the OpenAPI document of ``/docs.json``.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[str, ApiRoute], describe: Callable[[], dict[str, Any]]) -> None:
        settings = ServingSettings.from_environment()
        self._app = app
        self._routes = routes
        self._describe = describe
        self._authorizer = Authorizer(settings)
        self._max_concurrency = settings.max_concurrency
        self._service: Any = None
        self._active = 0
        self._entry: ASGIApp = self._handle
        if settings.cors_origins:
            self._entry = CORSMiddleware(
                self._handle,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
                expose_headers=["X-Request-ID", "Retry-After"],
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request or forward it to BentoML; overrides the ASGI interface."""
        if scope["type"] == "http":
            await self._entry(scope, receive, send)
            return
        if scope["type"] != "lifespan":
            await send({"type": "websocket.close"})
            return

        async def keep_service(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._service = bentoml.get_current_service()
            await send(message)

        await self._app(scope, receive, keep_service)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"])
        headers = dict(scope["headers"])
        if scope["path"] == _DOCS and scope["method"] == "GET":
            await _send_json(send, json.dumps(self._describe()).encode(), request_id_of(headers))
            return
        if route is None or scope["method"] != "POST":
            await self._handle_other_routes(scope, receive, send, request_id_of(headers))
            return
        started = time.perf_counter()
        request_id = request_id_of(headers)
        status, version = 500, ""
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                response = await self._predict(route, scope, headers, receive, request_id)
            if response is None:
                status = _CLIENT_CLOSED_REQUEST
                return
            status, version = 200, getattr(response, "model_version", "")
            await _send_json(send, response.model_dump_json().encode(), request_id)
        except ServiceError as error:
            status = error.status
            problem = problem_response(status, error.kind, error.message, request_id, error.headers)
            await problem(scope, receive, send)
        except TimeoutError:
            status = 504
            await problem_response(
                504, "timeout", f"The request was not handled within {_DEADLINE_SECONDS:.0f} seconds.", request_id
            )(scope, receive, send)
        except Exception:
            LOG.exception("Unexpected error at %s, request %s", scope["path"], request_id)
            await problem_response(500, "internal_error", DETAILS[500], request_id)(scope, receive, send)
        finally:
            METRICS.record_request(scope["path"], status, version, time.perf_counter() - started)

    async def _handle_other_routes(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Forward reads only: BentoML would also serve predictions, at paths similar to ``routes``."""
        if scope["method"] in ("GET", "HEAD"):
            await BentoPassthrough(scope, receive, send, request_id).call(self._app)
        elif scope["path"] in self._routes or scope["path"] in _PAGES:
            allow = {"Allow": "POST" if scope["path"] in self._routes else "GET"}
            await problem_response(405, "method_not_allowed", DETAILS[405], request_id, allow)(scope, receive, send)
        else:
            await problem_response(404, "not_found", DETAILS[404], request_id)(scope, receive, send)

    async def _predict(
        self, route: ApiRoute, scope: Scope, headers: dict[bytes, bytes], receive: Receive, request_id: str
    ) -> BaseModel | None:
        """Return the response body; None if the client has disconnected."""
        self._authorizer.authorize(scope, headers)
        weight = 0
        try:
            self._admit(1, own=0)
            weight = 1
            body = await _read_body(headers, receive)
            if body is None:
                return None
            try:
                request = route.schema.model_validate_json(body)
            except ValidationError as error:
                raise validation_error(error) from None
            more = route.weight(request) - 1
            self._admit(more, own=1)
            weight += more
            return await route.handle(self._service, request, request_id)
        finally:
            self._active -= weight
            METRICS.requests_active.set(self._active)

    def _admit(self, weight: int, own: int) -> None:
        """Add weight of a request that holds ``own`` already; a request without others is always admitted."""
        if self._active + weight > self._max_concurrency and self._active > own:
            raise ServiceError(503, "overloaded", "Too many requests at once; try again.", RETRY_SECONDS)
        self._active += weight
        METRICS.requests_active.set(self._active)


def new_request_id() -> str:
    """Create the id of a request without one.

    Returns:
        32 hexadecimal digits.
    """
    return os.urandom(16).hex()


def request_id_of(headers: dict[bytes, bytes]) -> str:
    """Return the id of a request.

    Args:
        headers: Headers by lower-case name.

    Returns:
        The client's X-Request-ID if it is valid, else a new id.
    """
    value = headers.get(b"x-request-id")
    if value and _REQUEST_ID.fullmatch(value):
        return value.decode()
    return new_request_id()


async def _read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
    """Read the whole body; return None if the client has disconnected."""
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
