"""Traces of a served process, received over OTLP; without an endpoint nothing is traced."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from holdfast.packaging.smoke_test import ServedBento, serve_bento
from holdfast.runtime.processes import free_port
from tests.support.definition_versions import online_file
from tests.support.main_job import ROOT
from tests.support.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.support.service_fixtures import service_environment
from tests.support.waiting import wait_for

KEY = "hf-secret-key-of-a-shop-0123456789"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
STAGES = ["store", "transform", "model"]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@contextmanager
def traced_service(data: Path, endpoint: str, **variables: str) -> Iterator[ServedBento]:
    """Serve with a trace endpoint."""
    known = hashlib.sha256(KEY.encode()).hexdigest()
    tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "HOLDFAST_API_KEYS": f"shop:{known}"}
    with (
        service_environment(data, **tracing, **variables) as settings,
        serve_bento("services.churn:ChurnService", settings) as service,
    ):
        yield service


@dataclass(frozen=True)
class Traced:
    """A service and the receiver of its traces."""

    service: ServedBento
    receiver: OtlpReceiver
    data: Path

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        return httpx.post(self.service.url + path, json=body, headers=AUTHORIZED | headers, timeout=30)

    def predict(self, trace: str, flags: str = "01", customer: str = "c001", **headers: str) -> httpx.Response:
        """Request the prediction of one customer within a trace."""
        headers |= {"traceparent": f"00-{trace}-{PARENT}-{flags}"}
        return self.post("/predict", {"customer_id": customer}, **headers)


@pytest.fixture(scope="module")
def traced(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    data = Path(shutil.copytree(service_data, tmp_path_factory.mktemp("traced") / "data"))
    quick = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=one"}
    with otlp_receiver() as receiver, traced_service(data, receiver.endpoint, **quick) as service:
        yield Traced(service, receiver, data)


def _attributes(span: Span) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}


def test_request_is_one_trace_with_stages(traced: Traced) -> None:
    before = time.time_ns()
    assert traced.predict(TRACE).status_code == 200
    after = time.time_ns()
    spans = traced.receiver.trace(TRACE, 4)
    (request,) = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    assert request.name == "POST /predict"
    assert request.parent_span_id.hex() == PARENT
    assert _attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
    }
    stages = [span for span in spans if span is not request]
    assert [span.name for span in stages] == STAGES
    assert {span.parent_span_id for span in stages} == {request.span_id}
    assert [_attributes(span) for span in stages] == [{"rows": 1}] * 3
    limits = [
        request.start_time_unix_nano,
        *(time for span in stages for time in _ends(span)),
        request.end_time_unix_nano,
    ]
    assert limits == sorted(limits), "one after the other, within the request"
    assert before <= limits[0] < after
    assert limits[-1] < after + 1e9, "it ends when all is sent, which the caller may have read by then"
    assert all(start < end for start, end in map(_ends, stages))


def _ends(span: Span) -> tuple[int, int]:
    # Starts and ends come from floats of seconds, whose steps are a quarter of a microsecond.
    return round(span.start_time_unix_nano, -3), round(span.end_time_unix_nano, -3)


def test_batch_request_is_one_trace(traced: Traced) -> None:
    trace = "a" * 32
    body = {"customer_ids": ["c001", "c002", "no-such-id"]}
    assert traced.post("/predict_batch", body, traceparent=f"00-{trace}-{PARENT}-01").status_code == 200
    spans = traced.receiver.trace(trace, 4)
    assert sorted(span.name for span in spans) == sorted(["POST /predict_batch", *STAGES])
    assert [_attributes(span) for span in spans if span.name == "model"] == [{"rows": 3}]


def test_request_without_traceparent_starts_trace(traced: Traced) -> None:
    known = {span.trace_id for span in traced.receiver.spans}
    for headers in ({}, {"traceparent": "nonsense"}, {"traceparent": f"00-{'0' * 32}-{PARENT}-01"}):
        assert traced.post("/predict", {"customer_id": "c003"}, **headers).status_code == 200
    spans = traced.receiver.wait_for(lambda found: len({span.trace_id for span in found} - known) == 3)
    begun = [span for span in spans if span.trace_id not in known and span.kind == Span.SPAN_KIND_SERVER]
    assert [span.parent_span_id for span in begun] == [b""] * 3


def test_unsampled_request_is_not_traced(traced: Traced) -> None:
    untraced, then = "b" * 32, "c" * 32
    assert traced.predict(untraced, flags="00").status_code == 200
    assert traced.predict(then).status_code == 200
    traced.receiver.trace(then, 4)
    assert untraced not in {span.trace_id.hex() for span in traced.receiver.spans}


def test_failed_requests_have_status_and_no_stages(traced: Traced) -> None:
    requests = {"d" * 32: ("/predict", {"customer": 1}), "e" * 32: ("/predict_batch", {"customer_ids": []})}
    for trace, (path, body) in requests.items():
        assert traced.post(path, body, traceparent=f"00-{trace}-{PARENT}-01").status_code == 422
        (span,) = traced.receiver.trace(trace, 1)
        assert _attributes(span)["http.response.status_code"] == 422
        assert span.status.code == Status.STATUS_CODE_UNSET, "it is the caller's mistake"
    assert traced.predict("f" * 32, customer="no-such-id").status_code == 404
    assert len(traced.receiver.trace("f" * 32, 4)) == 4, "the store was read"


def test_spans_contain_no_data_of_the_caller(traced: Traced) -> None:
    hidden = "customer-4711-of-somewhere"
    trace = "1" * 32
    headers = {"X-Request-ID": hidden, "User-Agent": hidden, "tracestate": f"shop={hidden}", "baggage": f"id={hidden}"}
    assert traced.predict(trace, customer=hidden, **headers).status_code == 404
    query = f"/predict?customer_id={hidden}&api_key={KEY}"
    parent = {"traceparent": f"00-{trace}-{PARENT}-01"}
    assert traced.post(query, {"customer_id": hidden, "as_of": hidden}, **parent, **headers).status_code == 422
    bad = httpx.post(traced.service.url + query, json={"customer_id": "c001"}, headers=parent | headers, timeout=30)
    assert bad.status_code == 401
    for path in (
        f"/customers/{hidden}",
        f"/predict?customer_id={hidden}",
        "/livez",
        "/readyz",
        "/metrics",
        "/docs.json",
    ):
        httpx.get(traced.service.url + path, headers=AUTHORIZED | parent | headers, timeout=30)
    assert traced.predict("2" * 32).status_code == 200
    traced.receiver.trace("2" * 32, 4)
    spans = traced.receiver.trace(trace, 6)
    assert sorted({span.name for span in spans}) == sorted(["POST /predict", *STAGES]), "nothing else is traced"
    sent = b"".join(traced.receiver.raw)
    for secret in (hidden, KEY, KEY[-10:], "c001", "4711"):
        assert secret.encode() not in sent


def test_resource_has_service_name(traced: Traced) -> None:
    assert traced.predict("3" * 32).status_code == 200
    traced.receiver.trace("3" * 32, 4)
    assert traced.receiver.paths == {"/v1/traces"}
    (resource,) = traced.receiver.requests[-1].resource_spans
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert (named["service.name"], named["service.instance.id"]) == ("holdfast", "one")
    assert not any(name.startswith(("host.", "process.")) for name in named)


def test_server_errors_set_error_status(traced: Traced) -> None:
    store = online_file(traced.data)
    held = store.read_bytes()
    try:
        store.write_bytes(b"no database" * 1000)
        assert traced.predict("4" * 32).status_code == 503
        (span,) = traced.receiver.trace("4" * 32, 1)
        assert _attributes(span)["http.response.status_code"] == 503
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert not span.status.message
        assert not span.events
    finally:
        store.write_bytes(held)


def _until_logged(service: ServedBento, text: str) -> None:
    wait_for(lambda: text in service.log.read_text(), 30, service.log.read_text)


@pytest.mark.long
def test_receiver_outage_is_logged_twice_and_delays_no_response(service_data: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(service_data, tmp_path / "data"))
    port = free_port()
    quick = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "5"}
    with traced_service(data, f"http://127.0.0.1:{port}", **quick) as service:
        with httpx.Client(base_url=service.url, headers=AUTHORIZED, timeout=30) as client:
            lost = 1000  # more than the log remembers
            took = []
            for _ in range(lost):
                start = time.perf_counter()
                assert client.post("/predict", json={"customer_id": "c001"}).status_code == 200
                took.append(time.perf_counter() - start)
            _until_logged(service, "Traces are lost")
            with otlp_receiver(port) as receiver:
                assert client.post("/predict", json={"customer_id": "c001"}).status_code == 200
                _until_logged(service, "received again")
                assert receiver.spans
            for _ in range(600):  # more than are tried in the time there is to end
                assert client.post("/predict", json={"customer_id": "c001"}).status_code == 200
        ends = time.monotonic()
    assert time.monotonic() - ends < 8, "and it ends in time"
    log_lines = [
        line
        for line in service.log.read_text().splitlines()
        if "race" in line or "telemetry" in line or "xport" in line
    ]
    assert [line.split("] ")[-1].split(";")[0] for line in log_lines[:2]] == [
        "Traces are lost",
        "Traces are received again.",
    ]
    assert len(log_lines) <= 3, log_lines
    assert sorted(took)[len(took) // 2] < 0.05


OFF = """
import sys, threading
from pathlib import Path
import opentelemetry.sdk.trace as sdk
made = []
start = sdk.Tracer.start_span
sdk.Tracer.start_span = lambda *given, **named: made.append(given[1:] or named["name"]) or start(*given, **named)
from tests.support.service_fixtures import serve_in_process
with serve_in_process(Path(sys.argv[1]), BENTOML_HOME=sys.argv[1] + "/bentoml") as client:
    for path, body in (("/predict", {"customer_id": "c001"}), ("/predict_batch", {"customer_ids": ["c001"]})):
        assert client.post(path, json=body).status_code == 200
    layers, layer = [], client.app.middleware_stack
    while layer is not None:
        layers.append(type(layer).__name__)
        layer = getattr(layer, "app", None) or getattr(layer, "_app", None)
    print(layers)
    threads = [thread.name for thread in threading.enumerate()]
print(made, [name for name in threads if "otel" in name.lower()], "services.observability.spans" in sys.modules,
      any(name.startswith("opentelemetry.exporter") for name in sys.modules))
"""


def _in_process(service_data: Path, **variables: str) -> list[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-W", "ignore", "-c", OFF, str(service_data)]
    done = subprocess.run(command, cwd=ROOT, env=bare | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-2:]


@pytest.mark.long
def test_service_without_endpoint_has_no_tracing(service_data: Path) -> None:
    for variables in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}):
        layers, made = _in_process(service_data, **variables)
        assert "ApiMiddleware" in layers
        assert "Tracer" not in layers
        assert "OpenTelemetry" not in layers
        assert made == "[] [] False False"


@pytest.mark.long
def test_buffered_spans_are_sent_at_shutdown(service_data: Path) -> None:
    with otlp_receiver() as receiver:
        waits = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
        layers, made = _in_process(service_data, **waits)
    assert "ApiMiddleware" in layers
    assert "OtelBatchSpanRecordProcessor" in made
    assert sorted(span.name for span in receiver.spans) == sorted(
        ["POST /predict", "POST /predict_batch", *STAGES, *STAGES]
    )


@pytest.mark.long
def test_invalid_trace_settings_disable_tracing_only(service_data: Path) -> None:
    cannot = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_BSP_MAX_QUEUE_SIZE": "1"}
    _, made = _in_process(service_data, **cannot)
    assert made.startswith("[] []")
