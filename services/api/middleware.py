"""ASGI middleware: routes predictions, authorizes, limits size and concurrency, returns all errors as problem details.

BentoML's own dispatch costs several times as much as a prediction, also parses forms and multipart bodies, logs a
traceback for each malformed request and has three error formats. Therefore requests for predictions are handled here;
BentoML handles all other requests.
"""

import asyncio
import functools
import json
import os
import re
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import bentoml
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.authorization import Authorizer
from services.api.bentoml_passthrough import forward_to_bentoml
from services.api.routes import PredictionRoute, prediction_routes, unknown_model
from services.errors import ServiceError, http_error
from services.observability.logs import LOG
from services.observability.metrics import METRICS
from services.observability.tracing import open_spans
from services.settings import ServingSettings

if TYPE_CHECKING:
    from services.engine import PredictionEngine

_DOCS, _MODELS = "/docs.json", "/models"
_PAGES = frozenset({"/", _DOCS, _MODELS, "/healthz", "/livez", "/metrics", "/readyz", "/schema.json"})
_MAX_BODY = 1024 * 1024
_CUSTOMERS_PER_REQUEST = 100  # a batch counts as one concurrent request per 100 customers
_DEADLINE_SECONDS = 20.0  # from the first byte of the request to the response
_CLIENT_CLOSED_REQUEST = 499  # nginx's status
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_NO_SPAN = nullcontext()


class ApiMiddleware:
    """ASGI middleware in front of BentoML.

    Args:
        app: BentoML's ASGI application.
        describe: Returns the OpenAPI document of ``/docs.json``.
    """

    def __init__(self, app: ASGIApp, describe: Callable[[], dict[str, Any]]) -> None:
        settings = ServingSettings.from_environment()
        self._app = app
        self._describe = functools.cache(lambda: json.dumps(describe()).encode())  # every caller may ask, without a key
        self._authorizer = Authorizer(settings)
        self._routes = prediction_routes()
        self._max_concurrency = settings.max_concurrency
        self._spans = open_spans()
        self._engine: PredictionEngine
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

        async def find_engine(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._engine = bentoml.get_current_service().engine
            await send(message)

        await self._app(scope, receive, find_engine)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method, headers = scope["path"], scope["method"], dict(scope["headers"])
        request_id = _request_id(headers)
        try:
            route = self._routes.get(path)
            if route is not None and method == "POST":
                spans = self._spans
                with spans.request_span(path, headers.get(b"traceparent", b"")) if spans else _NO_SPAN:
                    await self._handle_prediction(route, path, scope, headers, receive, send, request_id)
            elif path == _DOCS and method == "GET":
                await _send_json(send, self._describe(), request_id)
            elif method == "GET" and path == _MODELS:
                self._authorizer.authorize(scope, headers)
                states = await asyncio.to_thread(self._engine.describe_models)  # may wait for the online store
                await _send_json(send, states.model_dump_json().encode(), request_id)
            elif method == "GET" and (name := _model_of_readiness(path)):
                state = await asyncio.to_thread(self._engine.describe_ready_model, name)
                await _send_json(send, state.model_dump_json().encode(), request_id)
            elif route is not None:
                raise http_error(405, allow="POST")
            elif method in ("GET", "HEAD"):  # reads only: BentoML would also serve predictions, at similar paths
                await forward_to_bentoml(self._app, scope, receive, send)
            else:
                is_page = path in _PAGES or _model_of_readiness(path)
                raise http_error(405, allow="GET") if is_page else unknown_model(path) or http_error(404)
        except ServiceError as error:
            await error.to_response(request_id)(scope, receive, send)
        except Exception:
            LOG.exception("Unexpected error at %s, request %s", path, request_id)
            await http_error(500).to_response(request_id)(scope, receive, send)

    async def _handle_prediction(
        self,
        route: PredictionRoute,
        path: str,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
        send: Send,
        request_id: str,
    ) -> None:
        started = time.perf_counter()
        status, model, version = 500, route.model.name, ""
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                response = await self._predict(route, scope, headers, receive, request_id)
            if response is None:
                status = _CLIENT_CLOSED_REQUEST
                return
            content, model, version = response
            status = 200
            await _send_json(send, content, request_id)
        except ServiceError as error:
            status = error.status
            raise
        except TimeoutError:
            status = 504
            raise ServiceError(
                504, "timeout", f"The request was not handled within {_DEADLINE_SECONDS:.0f} seconds."
            ) from None
        finally:
            METRICS.record_request(path, status, model, version, time.perf_counter() - started)
            if self._spans is not None:
                self._spans.set_status(status)

    async def _predict(
        self,
        route: PredictionRoute,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
        request_id: str,
    ) -> tuple[bytes, str, str] | None:
        """Return the response body, and model and version that answered; None if the client has disconnected."""
        self._authorizer.authorize(scope, headers)
        weight = 0
        try:
            self._admit(1, own=0)
            weight = 1
            body = await _read_body(headers, receive)
            if body is None:
                return None
            request = route.parse(body)
            if route.is_batch:
                more = max(1, len(request.customer_ids) // _CUSTOMERS_PER_REQUEST) - 1
                self._admit(more, own=1)
                weight += more
            results = await self._engine.score(
                request.customer_ids, request.as_of, request.explain, request_id, request.models
            )
            return route.respond(request, results)
        finally:
            self._active -= weight
            METRICS.requests_active.set(self._active)

    def _admit(self, weight: int, own: int) -> None:
        """Add weight of a request that holds ``own`` already; a request without others is always admitted."""
        if self._active + weight > self._max_concurrency and self._active > own:
            raise ServiceError(503, "overloaded", "Too many requests at once; try again.")
        self._active += weight
        METRICS.requests_active.set(self._active)


def _model_of_readiness(path: str) -> str:
    """Return NAME of ``/models/NAME/readyz``; empty for any other path."""
    name = path.removeprefix(f"{_MODELS}/").removesuffix("/readyz")
    return name if path == f"{_MODELS}/{name}/readyz" and "/" not in name else ""


def new_request_id() -> str:
    """Create the id of a request without one.

    Returns:
        32 hexadecimal digits.
    """
    return os.urandom(16).hex()


def _request_id(headers: dict[bytes, bytes]) -> str:
    """Return the client's X-Request-ID if it is valid, else a new id."""
    value = headers.get(b"x-request-id")
    return value.decode() if value and _REQUEST_ID.fullmatch(value) else new_request_id()


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
