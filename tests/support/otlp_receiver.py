"""Receiver of OpenTelemetry traces: OTLP over HTTP."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.http_server import PostHandler, running_http_server
from tests.support.waiting import wait_for


@dataclass
class OtlpReceiver:
    """Received requests; ``raw`` holds the undecoded bodies."""

    port: int
    raw: list[bytes] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait_for(self, condition: Callable[[list[Span]], bool], within: float = 60) -> list[Span]:
        """Wait until the spans fulfil a condition; returns the spans."""
        wait_for(
            lambda: condition(self.spans), within, lambda: [(span.name, span.trace_id.hex()) for span in self.spans]
        )
        return self.spans

    def trace(self, trace_id: str, spans: int) -> list[Span]:
        """Wait for a number of spans of a trace; returns the spans."""

        def of_trace(found: list[Span]) -> list[Span]:
            return [span for span in found if span.trace_id.hex() == trace_id]

        return of_trace(self.wait_for(lambda found: len(of_trace(found)) >= spans))


@contextmanager
def otlp_receiver(port: int = 0) -> Iterator[OtlpReceiver]:
    """Receive traces within the block; port 0 is a free port."""
    receiver = OtlpReceiver(port)

    class Handler(PostHandler):
        def handle_post(self, body: bytes) -> None:
            receiver.raw.append(body)
            receiver.paths.add(self.path)
            receiver.requests.append(ExportTraceServiceRequest.FromString(body))
            self.respond(200)

    with running_http_server(Handler, port) as receiver.port:
        yield receiver
