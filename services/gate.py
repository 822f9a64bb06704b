"""The front door: predictions are answered here, and every error of the service leaves in one shape.

BentoML's own dispatch costs several times what a prediction does, parses forms and multipart bodies too, logs a
traceback for each malformed request and has three shapes of errors. So requests for predictions are let in, read and
answered here, by the methods of the service that BentoML describes; all else is BentoML's.
"""

import asyncio
import functools
import ipaddress
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import bentoml
from pydantic import BaseModel, ValidationError
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api_keys import KeyRing
from services.errors import RETRY_SECONDS, TITLES, ServiceError, problem_response, validation_error
from services.logs import LOG
from services.metrics import METRICS
from services.settings import load_serving_settings

_DOCS = "/docs.json"
_MAX_BODY = 1024 * 1024
_DEADLINE_SECONDS = 20.0  # for the body to arrive and be answered
_CALLER_HAS_GONE = 499  # as nginx counts them
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
# Any of them says that a proxy is between caller and service, and "from this machine" means only the proxy.
_FORWARDED = {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
_DETAILS = {
    404: "There is nothing at this address. POST /predict or /predict_batch for predictions.",
    405: "This address does not answer this method. Predictions are asked for with POST.",
    500: "An unexpected error has occurred; the service's log has the details.",
    504: f"The request was not answered within {_DEADLINE_SECONDS:.0f} seconds.",
}
# BentoML's page of the API loads a tag manager from elsewhere; nothing of this service loads anything from elsewhere.
_PAGE_POLICY = (b"content-security-policy", b"default-src 'self' 'unsafe-inline' data:")


@dataclass(frozen=True)
class Route:
    """A prediction: what its body must be, and who answers it: called with service, body and request id."""

    schema: type[BaseModel]
    answer: Callable[[Any, Any, str], Awaitable[BaseModel]]


class Gate:
    """ASGI middleware; ``routes`` are answered here, and ``/docs.json`` with what ``describe`` returns."""

    def __init__(self, app: ASGIApp, routes: Mapping[str, Route], describe: Callable[[], dict[str, Any]]) -> None:
        settings = load_serving_settings()
        self._app = app
        self._routes = routes
        self._describe = describe
        self._keys = KeyRing.from_settings(settings.api_keys, settings.api_keys_file)
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
        if not self._keys.configured:
            LOG.warning(
                "No API keys are set: only requests from this machine are answered. Set HOLDFAST_API_KEYS or "
                "HOLDFAST_API_KEYS_FILE; `python -m services.api_keys NAME` makes a key."
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or pass it on."""
        if scope["type"] == "http":
            await self._entry(scope, receive, send)
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
            await _PassedOn(scope, receive, send, request_id_of(headers)).by(self._app)
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
            await problem_response(504, "timeout", _DETAILS[504], request_id)(scope, receive, send)
        except Exception:
            LOG.exception("Unexpected error at %s, request %s", scope["path"], request_id)
            await problem_response(500, "internal_error", _DETAILS[500], request_id)(scope, receive, send)
        finally:
            METRICS.answered(scope["path"], status, version, time.perf_counter() - started)

    async def _answer(
        self, route: Route, scope: Scope, headers: dict[bytes, bytes], receive: Receive, request_id: str
    ) -> BaseModel | None:
        """The answer; None when the caller has gone."""
        self._require_caller(scope, headers)
        if self._active >= self._max_concurrency:
            raise ServiceError(503, "overloaded", "Too many requests at once; try again.", RETRY_SECONDS)
        self._active += 1
        METRICS.requests_active.set(self._active)
        try:
            body = await _body(headers, receive)
            if body is None:
                return None
            try:
                request = route.schema.model_validate_json(body)
            except ValidationError as error:
                raise validation_error(error) from None
            return await route.answer(self._service, request, request_id)
        finally:
            self._active -= 1
            METRICS.requests_active.set(self._active)

    def _require_caller(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        if not self._keys.configured:
            if _is_local(scope, headers):
                return
            raise ServiceError(
                401, "unauthorized", "This service has no API keys yet, so it answers only its own machine."
            )
        key = headers.get(b"authorization") or headers.get(b"x-api-key")
        if self._keys.name_of(key.decode("latin-1") if key else None) is None:
            raise ServiceError(
                401, "unauthorized", "Send a valid API key: `Authorization: Bearer KEY`, or `X-API-Key: KEY`."
            )


class _PassedOn:
    """An answer of BentoML; an error leaves in our shape."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._request_id = request_id
        self._error: Message | None = None
        self._text = b""
        self._started = False

    async def by(self, app: ASGIApp) -> None:
        """Let ``app`` answer."""
        try:
            await app(self._scope, self._receive, self._pass)
        except Exception:
            LOG.exception("Unexpected error at %s, request %s", self._scope["path"], self._request_id)
            if self._started:
                raise
            await self._refuse(500, "", None)

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            if message["status"] >= 400:
                self._error = message
                return
            if self._scope["path"] == "/":
                message["headers"] = [*message["headers"], _PAGE_POLICY]
        if self._error is None:
            await self._send(message)
            return
        self._text += message.get("body", b"")
        if not message.get("more_body", False):
            allow = dict(self._error["headers"]).get(b"allow")
            await self._refuse(self._error["status"], self._text.decode(errors="replace").strip(), allow)

    async def _refuse(self, status: int, text: str, allow: bytes | None) -> None:
        title = HTTPStatus(status).phrase
        kind = {503: "not_ready", 504: "timeout", 500: "internal_error"}.get(status, title.lower().replace(" ", "_"))
        kind = kind if kind in TITLES else "invalid_request"
        headers = {"Allow": allow.decode("latin-1")} if allow else {}
        headers |= {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
        detail = _DETAILS.get(status) or text or f"{title}."
        await problem_response(status, kind, detail, self._request_id, headers)(self._scope, self._receive, self._send)


def new_request_id() -> str:
    """Of a request that came without one."""
    return uuid4().hex


def request_id_of(headers: dict[bytes, bytes]) -> str:
    """The caller's own, if it is harmless in a log, else a new one."""
    given = headers.get(b"x-request-id")
    if given and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return new_request_id()


def _is_local(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether both ends are on this machine, and nobody says that the request was forwarded."""
    if not _FORWARDED.isdisjoint(headers):
        return False
    ends = [scope.get("client"), scope.get("server")]
    return all(end is not None and _is_loopback(end[0]) for end in ends)


@functools.lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _body(headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
    """The whole body; None when the caller has gone."""
    media_type = headers.get(b"content-type", b"application/json")
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
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
