"""Tests of the load clients, and of the choice of snapshots that may have served a prediction."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from simulations.load_clients import LoadClients, RequestResult, count_retries
from simulations.prediction_checker import Materialization, possible_sources
from tests.support.http_server import PostHandler, running_http_server

FIRST = datetime(1998, 5, 1, tzinfo=UTC)
SECOND = FIRST + timedelta(days=1)
OLD = Materialization("a", FIRST, FIRST, started=0, ended=10)
NEW = Materialization("a", SECOND, SECOND, started=100, ended=110)


def _result(sent: float, received: float, features: datetime) -> RequestResult:
    return RequestResult("sim-1-1", "c", SECOND, sent, received, 1, "", 0.5, "1", features)


def test_possible_sources_are_the_snapshots_in_the_store_during_the_request() -> None:
    both = [OLD, NEW]
    assert possible_sources(both, _result(50, 51, FIRST)) == [OLD]
    assert possible_sources(both, _result(50, 51, SECOND)) == []
    assert possible_sources(both, _result(105, 106, FIRST)) == [OLD]
    assert possible_sources(both, _result(105, 106, SECOND)) == [NEW]
    assert possible_sources(both, _result(50, 105, SECOND)) == [NEW]
    assert possible_sources(both, _result(120, 121, SECOND)) == [NEW]
    assert possible_sources(both, _result(120, 121, FIRST)) == [], "an older snapshot replaced a newer item"


@contextmanager
def _service(statuses: list[int]) -> Iterator[str]:
    """A service that responds with each status in turn, then with scores."""

    class Handler(PostHandler):
        def handle_post(self, body: bytes) -> None:
            request = json.loads(body)
            status = statuses.pop(0) if statuses else 200
            ids = request.get("customer_ids", [request.get("customer_id")])
            items = [_item(customer, "ok") for customer in ids]
            response: Any = items[0] if "customer_id" in request else {"predictions": items}
            if status != 200:
                response = {"detail": "not now"}
            self.respond(status, json.dumps(response).encode(), **{"Retry-After": "0.05"})

    with running_http_server(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def _item(customer: str, status: str) -> dict[str, Any]:
    item = {"customer_id": customer, "status": status, "churn_probability": 0.25, "model_version": "3"}
    return item | {"feature_timestamp": FIRST.isoformat(), "detail": None}


def _request(url: str, count: int, timeout: float = 30.0) -> list[RequestResult]:
    clients = LoadClients(url, seed=1, timeout=timeout)
    clients.customers, clients.day = [f"c{number:03d}" for number in range(100)], FIRST
    clients.request_predictions(count)
    return clients.results


def test_load_clients_retryable_status_repeat_the_request() -> None:
    with _service([503, 429, 503]) as url:
        results = _request(url, 30)
    assert len({item.customer_id for item in results}) == len(results) == 30
    assert {(item.probability, item.version, item.feature_timestamp) for item in results} == {(0.25, "3", FIRST)}
    assert {item.as_of.date() for item in results} == {FIRST.date()}
    assert count_retries(results) == 3


def test_load_clients_other_status_give_up_at_once() -> None:
    with _service([422]) as url:
        (result,) = _request(url, 1)
    assert (result.probability, result.attempts) == (None, 1)
    assert result.problem.startswith("422")


def test_load_clients_timeout_give_up() -> None:
    with _service([503] * 100) as url:
        results = _request(url, 3, timeout=0.2)
    assert [item.probability for item in results] == [None] * 3
    assert count_retries([replace(item, attempts=1) for item in results]) == 0
