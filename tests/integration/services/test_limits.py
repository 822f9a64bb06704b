"""Limits of concurrency, size and time: excess requests fail at once and affect no other request."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from holdfast.core.prediction_log import read_predictions
from tests.support.http_service import HttpService, serve_over_http
from tests.support.redis_service_state import RedisServiceState, redis_service_state
from tests.support.service_fixtures import assert_error
from tests.support.service_requests import problem_kind
from tests.support.waiting import wait_for

LIMIT = 4
ARRIVAL = 1.0  # by then the service has read what was sent, also on a busy machine
BODY = json.dumps({"customer_id": "c001"}).encode()


@pytest.fixture(scope="module")
def shop(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServiceState]:
    with redis_service_state(service_data, tmp_path_factory.mktemp("limits")) as shop:
        yield shop


@pytest.fixture(scope="module")
def service(shop: RedisServiceState) -> Iterator[HttpService]:
    limits = {"HOLDFAST_MAX_CONCURRENCY": str(LIMIT), "HOLDFAST_STORE_TIMEOUT_MS": "20000"}
    with serve_over_http(shop.data, **shop.variables, **limits) as service:
        yield service


@pytest.fixture
def client(service: HttpService) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr("services.api.middleware._DEADLINE_SECONDS", 0.5)
    return 0.5


def ask(client: httpx.Client, customer: str = "c001", **headers: str) -> httpx.Response:
    return client.post("/predict", json={"customer_id": customer}, headers=headers)


def all_slots_are_free(client: httpx.Client) -> bool:
    """Check that all slots can be used at once."""
    with ThreadPoolExecutor(LIMIT) as pool:
        return {response.status_code for response in pool.map(lambda _: ask(client), range(LIMIT))} == {200}


@contextmanager
def all_slots_taken(shop: RedisServiceState, client: httpx.Client) -> Iterator[list["Future[httpx.Response]"]]:
    """Hold all slots by requests that wait for the store, within the block."""
    with ThreadPoolExecutor(LIMIT) as pool:
        shop.server.pause()
        try:
            waiting = [pool.submit(ask, client, f"c00{i}") for i in range(LIMIT)]
            time.sleep(ARRIVAL)
            yield waiting
        finally:
            shop.server.resume()


class TestConcurrency:
    def test_requests_above_limit_get_503_and_others_succeed(
        self, shop: RedisServiceState, client: httpx.Client
    ) -> None:
        with all_slots_taken(shop, client) as waiting:
            began = time.monotonic()
            with ThreadPoolExecutor(10) as pool:
                for response in pool.map(lambda _: ask(client), range(30)):
                    assert_error(response, 503, "Too many requests at once")
                    assert problem_kind(response) == "overloaded"
                    assert int(response.headers["retry-after"]) >= 1
            assert time.monotonic() - began < 5
            assert client.get("/livez").status_code == 200
            assert not any(one.done() for one in waiting)
        assert [one.result().status_code for one in waiting] == [200] * LIMIT
        assert [one.result().json()["customer_id"] for one in waiting] == [f"c00{i}" for i in range(LIMIT)]
        wait_for(lambda: all_slots_are_free(client))

    def test_disconnected_client_frees_its_slot(
        self, service: HttpService, shop: RedisServiceState, client: httpx.Client
    ) -> None:
        wires = [service.connect() for _ in range(LIMIT)]
        for wire in wires:
            wire.send_head(len(BODY))
            wire.send(BODY[:5])
        time.sleep(ARRIVAL)
        assert ask(client).status_code == 503
        for wire in wires:
            wire.close()
        wait_for(lambda: all_slots_are_free(client))

    def test_client_disconnecting_during_read_affects_no_other(
        self, service: HttpService, shop: RedisServiceState, client: httpx.Client
    ) -> None:
        shop.server.pause()
        try:
            wires = [service.connect() for _ in range(LIMIT)]
            for wire in wires:
                wire.send_head(len(BODY))
                wire.send(BODY)
            time.sleep(ARRIVAL)
            assert ask(client).status_code == 503
            for wire in wires:
                wire.close()
        finally:
            shop.server.resume()
        wait_for(lambda: all_slots_are_free(client))


class TestTimeouts:
    def test_slow_body_times_out_and_frees_its_slot(
        self, service: HttpService, client: httpx.Client, short_deadline: float
    ) -> None:
        wires = [service.connect() for _ in range(LIMIT)]
        began = time.monotonic()
        for wire in wires:
            wire.send_head(len(BODY))
        for byte in BODY[:8]:
            for wire in wires:
                wire.send(bytes([byte]))
            time.sleep(0.05)
        assert ask(client).status_code == 503, "they hold all places"
        for wire in wires:
            status, headers, problem = wire.read_response()
            assert (status, problem["type"]) == (504, "urn:holdfast:problem:timeout")
            assert headers["content-type"] == "application/problem+json"
            wire.close()
        assert time.monotonic() - began < short_deadline + 3
        wait_for(lambda: all_slots_are_free(client))

    @pytest.mark.usefixtures("short_deadline")
    def test_hanging_store_gets_504_at_deadline(self, shop: RedisServiceState, client: httpx.Client) -> None:
        shop.server.pause()
        try:
            began = time.monotonic()
            response = ask(client)
            assert time.monotonic() - began < 3
        finally:
            shop.server.resume()
        assert_error(response, 504, "not handled within")
        wait_for(lambda: all_slots_are_free(client))


class TestSize:
    @pytest.mark.parametrize("announced", [True, False])
    def test_too_long_body_is_413(self, service: HttpService, client: httpx.Client, announced: bool) -> None:
        long = b'{"customer_id": "%s"}' % (b"x" * 2**20)
        body = long if announced else (long[i : i + 10_000] for i in range(0, len(long), 10_000))
        with service.client() as other:
            response = other.post("/predict", content=body, headers={"Content-Type": "application/json"})
        assert_error(response, 413, "longer than 1048576 bytes")
        assert all_slots_are_free(client)

    def test_body_of_maximum_length_is_read(self, client: httpx.Client) -> None:
        body = BODY + b" " * (2**20 - len(BODY))
        response = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 200
        response = client.post("/predict", content=body + b" ", headers={"Content-Type": "application/json"})
        assert_error(response, 413)

    def test_batch_above_1000_customers_is_invalid(self, client: httpx.Client) -> None:
        def batch(count: int) -> httpx.Response:
            return client.post("/predict_batch", json={"customer_ids": ["c001"] * count})

        assert len(batch(1000).json()["predictions"]) == 1000
        assert_error(batch(1001), 422, "customer_ids", "1000")
        assert_error(batch(0), 422, "customer_ids")


class TestRequestIds:
    @pytest.mark.parametrize("given", ["abc-123_4.5:6", "0" * 64, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"])
    def test_valid_request_id_is_used(self, shop: RedisServiceState, client: httpx.Client, given: str) -> None:
        assert ask(client, **{"X-Request-ID": given}).headers["x-request-id"] == given
        problem = ask(client, "no-such-id", **{"X-Request-ID": given})
        assert_error(problem, 404)
        assert problem.json()["request_id"] == given
        assert client.get("/nothing", headers={"X-Request-ID": given}).json()["request_id"] == given
        wait_for(lambda: given in logged(shop))

    @pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"b', "a\tb", "<script>", "ä".encode(), b"a\x00b"])
    def test_invalid_request_id_is_replaced(
        self, service: HttpService, shop: RedisServiceState, given: str | bytes
    ) -> None:
        given = given.encode() if isinstance(given, str) else given
        wire = service.connect()
        wire.send(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: " + given + b"\r\n")
        wire.send(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY))
        if b"\x00" in given:  # no header may hold it: refused before it reaches the service
            wire.close()
            return
        status, headers, _ = wire.read_response()
        wire.close()
        assert status == 200
        new = headers["x-request-id"]
        assert len(new) == 32 and new.isalnum()
        wait_for(lambda: new in logged(shop))

    def test_requests_without_id_get_unique_ids(self, client: httpx.Client) -> None:
        found = [ask(client).headers["x-request-id"] for _ in range(20)]
        assert len(set(found)) == 20


def logged(shop: RedisServiceState) -> set[str]:
    """Return the request ids in the prediction log."""
    return set(read_predictions(shop.data / "predictions")["request_id"].to_pylist())
