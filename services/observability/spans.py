"""Recording and export of OpenTelemetry spans; imported only if a trace endpoint is set."""

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
from services.observability.stage_times import StageTimes

_NANOSECONDS = 1_000_000_000
_CLOSING_SECONDS = 3.0
_PROPAGATOR = TraceContextTextMapPropagator()


class SpanRecorder:
    """Recorder of spans, which a background thread exports; spans are lost while the receiver is unreachable."""

    def __init__(self) -> None:
        resource = Resource.create({"service.name": "holdfast"}).merge(OTELResourceDetector().detect())
        # A server ended by a signal runs no exit handlers, and OpenTelemetry's may wait for half a minute.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_LoggingExporter(OTLPSpanExporter())))
        self._tracer = self._provider.get_tracer("holdfast")
        # OpenTelemetry logs each failed export and span; _LoggingExporter logs each outage once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def request_span(self, path: str, traceparent: bytes) -> AbstractContextManager[Span]:
        """Record a request within the trace of its caller.

        BentoML's own span also holds the query, the caller's address and any path, and has three child spans.

        Args:
            path: Path of the endpoint.
            traceparent: Header of the caller; empty without one.

        Returns:
            Context manager that makes the span the current one.
        """
        return self._tracer.start_as_current_span(
            f"POST {path}",
            # The caller's tracestate and baggage may hold anything, so these are not passed on.
            _PROPAGATOR.extract({"traceparent": traceparent.decode("latin-1")}),
            SpanKind.SERVER,
            {"http.request.method": "POST", "http.route": path},
            record_exception=False,
            set_status_on_exception=False,
        )

    def set_status(self, status: int) -> None:
        """Store the status of the response in the current span.

        Args:
            status: HTTP status.
        """
        span = get_current_span()
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))

    def record_stages(self, stages: StageTimes, rows: int) -> None:
        """Record the stages of a micro-batch within the current span.

        Args:
            stages: Times of the stages.
            rows: Number of customers scored in the batch.
        """
        if get_current_span().is_recording():
            for name, start, end in stages.intervals():
                span = self._tracer.start_span(name, start_time=int(start * _NANOSECONDS), attributes={"rows": rows})
                span.end(int(end * _NANOSECONDS))

    def close(self) -> None:
        """Send the buffered spans, for at most three seconds."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces-closing", daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)


class _LoggingExporter(SpanExporter):
    """Exporter that logs once when an outage of the receiver starts, and once when it ends."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._reachable = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        reachable = result is SpanExportResult.SUCCESS
        if reachable != self._reachable:
            self._reachable = reachable
            if reachable:
                LOG.info("Traces are received again.")
            else:
                LOG.warning("Traces are lost; the receiver does not accept them. Check OTEL_EXPORTER_OTLP_ENDPOINT.")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
