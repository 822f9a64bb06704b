"""OpenTelemetry traces of requests and of the stages of scoring; without a trace endpoint nothing is recorded.

The settings are OpenTelemetry's own: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER`` and others.
"""

import functools
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.observability.logs import LOG
from services.settings import tracing_enabled

if TYPE_CHECKING:
    from services.observability.spans import SpanRecorder


@functools.cache
def _open_spans() -> "SpanRecorder | None":
    """Create the span recorder of this process once; None if OpenTelemetry rejects its settings."""
    try:
        from services.observability.spans import SpanRecorder

        return SpanRecorder()
    except Exception:
        LOG.exception("No traces are sent: OpenTelemetry rejects its settings; check the OTEL_ variables")
        return None


class RequestTracer:
    """ASGI middleware that records a span per request for a prediction, within the caller's ``traceparent``.

    A span holds path, method and status. BentoML's own span also holds the query, the caller's address and any other
    path, and has three child spans.

    Args:
        app: Next ASGI application.
        paths: Paths to record.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str]) -> None:
        self._app, self._paths = app, frozenset(paths)
        self._spans = _open_spans()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record a span and call the next application; overrides the ASGI interface."""
        spans = self._spans
        if spans is None or scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        traceparent = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        with spans.request_span(scope["path"], traceparent.decode("latin-1")) as span:

            async def record_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    spans.set_status(span, message["status"])
                await send(message)

            await self._app(scope, receive, record_status)


class StageTracer:
    """Recorder of a span per stage of a micro-batch, within the trace of each of its requests."""

    def __init__(self) -> None:
        self._spans = _open_spans() if tracing_enabled() else None

    def record(self, stages: "StageTimes", rows: int) -> None:
        """Record the stages of a micro-batch within the current request; without an endpoint this does nothing.

        Args:
            stages: Times of the stages.
            rows: Number of customers scored in the batch.
        """
        if self._spans is not None:
            self._spans.record_stage("store", stages.started, stages.fetched, rows)
            self._spans.record_stage("transform", stages.fetched, stages.transformed, rows)
            self._spans.record_stage("model", stages.transformed, stages.scored, rows)

    def close(self) -> None:
        """Send the buffered spans."""
        if self._spans is not None:
            self._spans.close()


@dataclass
class StageTimes:
    """Times at which a micro-batch started and finished each stage, seconds since 1970."""

    started: float = field(default_factory=time.time)
    fetched: float = 0.0
    transformed: float = 0.0
    scored: float = 0.0
