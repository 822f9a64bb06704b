"""Receiver of OpenTelemetry traces: OTLP over HTTP."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


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

    def wait_for(self, condition: Callable[[list[Span]], bool], within: float = 15) -> list[Span]:
        """Wait until the spans fulfil a condition; returns the spans."""
        deadline = time.monotonic() + within
        while not condition(spans := self.spans):
            assert time.monotonic() < deadline, [(span.name, span.trace_id.hex()) for span in spans]
            time.sleep(0.02)
        return spans

    def trace(self, trace_id: str, spans: int) -> list[Span]:
        """Wait for a number of spans of a trace; returns the spans."""

        def of_trace(found: list[Span]) -> list[Span]:
            return [span for span in found if span.trace_id.hex() == trace_id]

        return of_trace(self.wait_for(lambda found: len(of_trace(found)) >= spans))


@contextmanager
def otlp_receiver(port: int = 0) -> Iterator[OtlpReceiver]:
    """Receive traces within the block; port 0 is a free port."""
    receiver = OtlpReceiver(port)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.raw.append(body)
            receiver.paths.add(self.path)
            receiver.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
