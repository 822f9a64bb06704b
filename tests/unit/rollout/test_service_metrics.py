"""Tests of reading the metrics of the service."""

import http.server
import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.rollout.service_metrics import (
    _clock_ahead_seconds,
    is_restarted,
    latency_buckets,
    parse_metrics,
    read_service,
    select_counters,
)

TEXT = """
holdfast_requests_total{path="/predict",status="200",version="1"} 90
holdfast_requests_total{path="/predict",status="500",version="none"} 3
holdfast_requests_total{path="/predict_batch",status="501",version="none"} 1
holdfast_requests_total{path="/predict",status="503",version="none"} 4
holdfast_requests_total{path="/predict",status="404",version="none"} 2
# TYPE holdfast_request_seconds histogram
holdfast_request_seconds_bucket{path="/predict",version="1",le="0.01"} 80
holdfast_request_seconds_bucket{path="/predict",version="1",le="+Inf"} 90
holdfast_request_seconds_bucket{path="/predict_batch",version="1",le="+Inf"} 7
holdfast_challenger_failures_total{version="2"} 5
holdfast_predictions_total{version="2",route="canary"} 6
holdfast_champion{version="0",source="bento"} 0
holdfast_champion{version="1",source="registry"} 1
holdfast_challenger{version="2",mode="shadow"} 0
holdfast_challenger{version="2",mode="canary"} 1
holdfast_refused_versions{version="none",reason="none"} 0
holdfast_refused_versions{version="2",reason="unusable"} 0
holdfast_refused_versions{version="3",reason="unusable"} 1
holdfast_refused_versions{version="2",reason="unavailable"} 1
holdfast_refused_versions 1
"""


def test_parse_metrics_full_text_returns_state() -> None:
    state = parse_metrics(TEXT)
    assert (state.champion, state.challenger, state.mode) == ("1", "2", "canary")
    assert (state.refused, state.unavailable) == ({"3"}, {"2"})
    assert state.counters == {
        "answered": 100,
        "failed": 4,
        "unavailable": 4,
        "seconds:1:0.01": 80,
        "seconds:1:inf": 90,
        "failures:2": 5,
        "scored:2:canary": 6,
    }
    assert latency_buckets(state.counters, "1") == {0.01: 80, math.inf: 90}
    assert latency_buckets(state.counters, "2") == {}


def test_select_counters_two_versions_returns_their_counters() -> None:
    counters = {**parse_metrics(TEXT).counters} | {"seconds:12:inf": 5.0, "failures:3": 1.0, "unavailable": 0.0}
    found = select_counters(counters, ["1", "2"])
    versions = {"seconds:1:0.01", "seconds:1:inf", "failures:2", "scored:2:canary"}
    assert set(found) == {"answered", "failed", "unavailable", *versions}
    assert select_counters(parse_metrics("").counters, ["1"]), (
        "one that has counted nothing yet is not one that did not answer"
    )


_COUNTERS = st.dictionaries(st.sampled_from(["answered", "failed", "failures:2"]), st.integers(0, 50).map(float))


@given(_COUNTERS, _COUNTERS)
@settings(deadline=None)
def test_is_restarted_lower_counter_true(before: dict[str, float], more: dict[str, float]) -> None:
    now = {name: before.get(name, 0) + more.get(name, 0) for name in before.keys() | more.keys()}
    assert not is_restarted(before, now), "it has only continued"
    for name, value in now.items():
        assert is_restarted(now, now | {name: value - 1})
        assert is_restarted(now, {other: number for other, number in now.items() if other != name}) == (value > 0)


@pytest.fixture
def answering() -> Iterator[tuple[str, list[tuple[int, bytes]]]]:
    """Run a server that responds with the last item of the list."""
    answers: list[tuple[int, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[-1] if self.path == "/metrics" else (404, b"")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", answers
        server.shutdown()


def test_read_service_without_response_returns_none(answering: tuple[str, list[tuple[int, bytes]]]) -> None:
    url, answers = answering
    answers.append((200, TEXT.encode()))
    found = read_service(url)
    assert found is not None and found.champion == "1"
    assert abs(found.clock_ahead_seconds) < 5, "both clocks are this machine's"
    for answer in ((503, b""), (200, b"<html>no metrics")):
        answers.append(answer)
        assert read_service(url) is None
    assert read_service("http://127.0.0.1:1") is None


def test_clock_ahead_seconds_other_clock_returns_difference() -> None:
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert _clock_ahead_seconds("Mon, 05 Jan 2026 12:01:30 GMT", noon) == pytest.approx(90, abs=1)
    assert _clock_ahead_seconds("Mon, 05 Jan 2026 11:59:00 GMT", noon) == pytest.approx(-60, abs=1)
    assert _clock_ahead_seconds("yesterday", noon) == _clock_ahead_seconds(None, noon) == 0


def test_parse_metrics_of_service_code_returns_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics of the service's own code, so that a renamed metric fails here."""
    from services.observability.metrics import ServiceMetrics

    # Another test may have had the process keep its values in files, where those of the same name would add up.
    monkeypatch.setattr(prometheus_client.values, "ValueClass", prometheus_client.values.MutexValue)
    registry = prometheus_client.CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    for kind in ("Counter", "Gauge", "Histogram"):
        real = getattr(prometheus_client, kind)
        monkeypatch.setattr(
            prometheus_client, kind, lambda *args, real=real, **options: real(*args, **options | {"registry": registry})
        )
    metrics = ServiceMetrics()
    metrics.record_request("/predict", 200, "churn", "7", 0.004)
    metrics.record_request("/predict", 500, "churn", "", 0.004)
    metrics.champion.replace(1, ("churn", "7", "registry"))
    metrics.challenger.replace(1, ("churn", "8", "shadow"))
    metrics.challenger_failures.add("churn", "8")
    metrics.predictions.add("churn", "8", "shadow", amount=3)
    metrics.refused_versions.replace(1, ("churn", "9", "unusable"), ("churn", "8", "unavailable"))
    metrics.champion.set(1, "spend", "5", "registry")  # of another model, as are its version numbers
    metrics.predictions.add("spend", "8", "shadow", amount=9)
    metrics.record_request("/models/spend/predict", 500, "spend", "", 0.004)
    metrics.publish()
    state = parse_metrics(prometheus_client.generate_latest(registry).decode())
    assert (state.champion, state.challenger, state.mode) == ("7", "8", "shadow")
    assert (state.refused, state.unavailable) == ({"9"}, {"8"})
    assert (state.counters["answered"], state.counters["failed"], state.counters["failures:8"]) == (2, 1, 1)
    assert state.counters["scored:8:shadow"] == 3
    assert latency_buckets(state.counters, "7")[0.005] == latency_buckets(state.counters, "7")[math.inf] == 1
