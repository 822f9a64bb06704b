"""Spans and their way to the receiver; imported only where an endpoint is configured."""

import logging
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.observability.logs import LOG

_NANOSECONDS = 1_000_000_000
_CLOSING_SECONDS = 3.0
_PROPAGATOR = TraceContextTextMapPropagator()


class SpanRecorder:
    """Makes spans, and sends them from a thread of its own; what a receiver that is away does not take is lost."""

    def __init__(self) -> None:
        resource = Resource.create({"service.name": "holdfast"}).merge(OTELResourceDetector().detect())
        # A server that ends itself with a signal runs no exit handlers, and theirs may wait for half a minute.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_Sender(OTLPSpanExporter())))
        self._tracer = self._provider.get_tracer("holdfast")
        # They say at each try and for each span what is said here once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def request(self, path: str, traceparent: str) -> AbstractContextManager[Span]:
        """The span of a request, which is the current one of the block."""
        return self._tracer.start_as_current_span(
            f"POST {path}",
            # Not the caller's tracestate and baggage, which may hold anything, and which nobody is told further.
            _PROPAGATOR.extract({"traceparent": traceparent}),
            SpanKind.SERVER,
            {"http.request.method": "POST", "http.route": path},
            record_exception=False,
            set_status_on_exception=False,
        )

    def answered(self, span: Span, status: int) -> None:
        """The request of ``span`` has this status."""
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))

    def stage(self, name: str, start: float, end: float, rows: int) -> None:
        """A part of the current span, from ``start`` to ``end`` in seconds since 1970."""
        if get_current_span().is_recording():
            span = self._tracer.start_span(name, start_time=int(start * _NANOSECONDS), attributes={"rows": rows})
            span.end(int(end * _NANOSECONDS))

    def close(self) -> None:
        """Send what is waiting; a receiver that does not answer is given up soon."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces-closing", daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)


class _Sender(SpanExporter):
    """Says once that the receiver is away, and once that it is back."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._works = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        works = result is SpanExportResult.SUCCESS
        if works != self._works:
            self._works = works
            if works:
                LOG.info("Traces arrive again.")
            else:
                LOG.warning("Traces do not arrive; those of now are lost. Is OTEL_EXPORTER_OTLP_ENDPOINT right?")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
