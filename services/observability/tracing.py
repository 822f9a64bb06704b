"""OpenTelemetry: where the time of a request went. Without an endpoint no span is made.

The variables are OpenTelemetry's own: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER`` and the others.
"""

import functools
import os
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.observability.logs import LOG

if TYPE_CHECKING:
    from services.observability.spans import SpanRecorder

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def is_traced() -> bool:
    """Whether the environment says where traces go."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not disabled and any(os.environ.get(name) for name in _ENDPOINTS)


@functools.cache
def _open_spans() -> "SpanRecorder | None":
    """This process's way to the receiver of traces."""
    try:
        from services.observability.spans import SpanRecorder

        return SpanRecorder()
    except Exception:
        LOG.exception("No traces are sent: OpenTelemetry refuses its settings")
        return None


class RequestTracer:
    """ASGI middleware: a span of each request for a prediction, in the trace of the caller's ``traceparent``.

    It holds the address, the method and the status. BentoML's own holds the query, the caller's address and whatever
    else was asked for, and comes with three more spans.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str]) -> None:
        self._app, self._paths = app, frozenset(paths)
        self._spans = _open_spans()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        spans = self._spans
        if spans is None or scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        traceparent = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        with spans.request(scope["path"], traceparent.decode("latin-1")) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    spans.answered(span, message["status"])
                await send(message)

            await self._app(scope, receive, noted)


class StageTracer:
    """Makes a span of each stage of a micro-batch, in the trace of each of its requests; does nothing without an
    endpoint."""

    def __init__(self) -> None:
        self._spans = _open_spans() if is_traced() else None

    def record(self, stages: "StageTimes", rows: int) -> None:
        """The stages of the batch that answered the request of this task."""
        if self._spans is not None:
            self._spans.stage("store", stages.began, stages.fetched, rows)
            self._spans.stage("transform", stages.fetched, stages.transformed, rows)
            self._spans.stage("model", stages.transformed, stages.scored, rows)

    def close(self) -> None:
        """Send what is waiting, if there is anybody to take it."""
        if self._spans is not None:
            self._spans.close()


@dataclass
class StageTimes:
    """When a batch began, and when its features were fetched, transformed and scored; seconds since 1970."""

    began: float = field(default_factory=time.time)
    fetched: float = 0.0
    transformed: float = 0.0
    scored: float = 0.0
