"""A customer with broken features is rejected with the reason; no other customer is."""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.testclient import TestClient

from services.features.input_reader import InputReader
from tests.support.redis_service_state import (
    ACTIVITY,
    HISTORY,
    RHYTHM,
    RedisServiceState,
    redis_service_state,
    stored_value,
)
from tests.support.service_fixtures import assert_error
from tests.support.service_requests import predict, predict_batch, probabilities, problem_kind
from tests.support.service_state import AS_OF, CUSTOMERS

BROKEN = "c007"
OTHERS = [customer for customer in CUSTOMERS[:20] if customer != BROKEN]
VIEWS = (HISTORY, ACTIVITY, RHYTHM)


@pytest.fixture(scope="module")
def shop(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServiceState]:
    with redis_service_state(service_data, tmp_path_factory.mktemp("broken")) as shop:
        yield shop


@pytest.fixture(scope="module")
def service(shop: RedisServiceState) -> Iterator[TestClient]:
    with shop.serve(HOLDFAST_STORE_TIMEOUT_MS="10000") as client:
        yield client


@pytest.fixture(scope="module")
def right(service: TestClient) -> dict[str, float]:
    """The probability of each other customer."""
    return probabilities(service, OTHERS)


@pytest.fixture(autouse=True)
def _restored(shop: RedisServiceState, right: dict[str, float]) -> Iterator[None]:
    yield
    shop.restore()


def stamp(days: int) -> bytes:
    time = Timestamp()
    time.FromDatetime(AS_OF + timedelta(days=days))
    return time.SerializeToString()


def each_time(stored: bytes | None) -> Callable[[RedisServiceState], None]:
    def change(shop: RedisServiceState) -> None:
        for view in VIEWS:
            shop.put(BROKEN, view, "_ts", stored)

    return change


def put(view: str, name: str, stored: bytes | None) -> Callable[[RedisServiceState], None]:
    return lambda shop: shop.put(BROKEN, view, name, stored)


def drop_view(shop: RedisServiceState) -> None:
    for name in ("mean_gap_days", "std_gap_days", "max_gap_days", "last_gap_days", "_ts"):
        shop.put(BROKEN, RHYTHM, name, None)


def replace_by_text(shop: RedisServiceState) -> None:
    shop.server.client().set(shop.key(BROKEN), b"text")


FAULTS = {
    "one view is newer": (put(RHYTHM, "_ts", stamp(1)), "features_updating", "are being updated"),
    "one view is older": (put(ACTIVITY, "_ts", stamp(-1)), "features_updating", "are being updated"),
    "a view is missing": (drop_view, "missing_feature", "not in the feature store"),
    "a field is missing": (put(HISTORY, "total_amount", None), "missing_feature", "total_amount"),
    "a null where none may be": (put(HISTORY, "total_amount", b""), "missing_feature", "total_amount"),
    "no number where one must be": (
        put(HISTORY, "total_amount", stored_value(double_val=math.nan)),
        "missing_feature",
        "total_amount",
    ),
    "an infinite number": (
        put(HISTORY, "total_amount", stored_value(double_val=math.inf)),
        "invalid_feature",
        "infinite",
    ),
    "text instead of an integer": (
        put(HISTORY, "purchase_days", stored_value(string_val="3")),
        "invalid_feature",
        "not of its declared type, Int64",
    ),
    "a float instead of an integer": (
        put(HISTORY, "purchase_days", stored_value(double_val=3.0)),
        "invalid_feature",
        "not of its declared type, Int64",
    ),
    "garbage": (put(ACTIVITY, "amount_90d", b"\xff\xfe\x00garbage"), "invalid_feature", "amount_90d"),
    "a view without its time": (put(ACTIVITY, "_ts", None), "missing_feature", "stored without a time"),
    "all views without their time": (each_time(None), "missing_feature", "stored without a time"),
    "a time that is none": (each_time(b"\xffgarbage"), "missing_feature", "stored without a time"),
    "a time beyond all calendars": (
        each_time(b"\x08" + b"\xff" * 9 + b"\x00"),
        "missing_feature",
        "stored without a time",
    ),
    "no time but the first one": (each_time(b""), "features_too_old", "the limit is 30.00 days"),
    "a key of another kind": (replace_by_text, "invalid_feature", "not of its declared type"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_customer_is_rejected_and_others_are_scored(
    service: TestClient, shop: RedisServiceState, right: dict[str, float], fault: str
) -> None:
    change, reason, detail = FAULTS[fault]
    change(shop)
    response = predict(service, BROKEN)
    assert_error(response, 503, detail, repr(BROKEN))
    assert problem_kind(response) == reason
    items = predict_batch(service, [BROKEN, *OTHERS])
    assert (items[BROKEN]["status"], items[BROKEN]["churn_probability"]) == (reason, None)
    assert {customer: items[customer]["churn_probability"] for customer in OTHERS} == right
    assert service.get("/readyz").status_code == 200


class Together:
    """Sender of requests that are scored in one batch, because another request holds the store."""

    def __init__(self, service: TestClient, shop: RedisServiceState, monkeypatch: pytest.MonkeyPatch) -> None:
        self._service, self._shop = service, shop
        self.sizes: list[int] = []
        read = InputReader.read_requests

        def counted(reader: InputReader, champion: Any, requests: Any, *rest: Any) -> Any:
            self.sizes.append(len(requests))
            return read(reader, champion, requests, *rest)

        monkeypatch.setattr(InputReader, "read_requests", counted)

    def ask(self, customers: list[str]) -> dict[str, Any]:
        with ThreadPoolExecutor(len(customers) + 1) as pool:
            self._shop.server.pause()
            try:
                first = pool.submit(predict, self._service, OTHERS[0])
                time.sleep(0.3)
                responses = {customer: pool.submit(predict, self._service, customer) for customer in customers}
                time.sleep(0.5)
            finally:
                self._shop.server.resume()
            assert first.result().status_code == 200
            return {customer: response.result() for customer, response in responses.items()}


@pytest.fixture
def together(service: TestClient, shop: RedisServiceState, monkeypatch: pytest.MonkeyPatch) -> Together:
    return Together(service, shop, monkeypatch)


@pytest.mark.parametrize("fault", ["a key of another kind", "a time beyond all calendars", "garbage"])
def test_broken_customer_does_not_affect_other_requests_of_batch(
    shop: RedisServiceState, right: dict[str, float], together: Together, fault: str
) -> None:
    change, reason, _ = FAULTS[fault]
    change(shop)
    responses = together.ask([*OTHERS[:9], BROKEN, *OTHERS[9:]])
    assert max(together.sizes) >= 10
    assert problem_kind(responses.pop(BROKEN)) == reason
    assert {customer: response.json()["churn_probability"] for customer, response in responses.items()} == right


def test_unexpected_error_fails_one_request_only(
    shop: RedisServiceState, right: dict[str, float], together: Together, service_log: pytest.LogCaptureFixture
) -> None:
    shop.put(
        BROKEN, RHYTHM, "mean_gap_days", stored_value(double_val=0.0)
    )  # the contract of the snapshots knows no such gap
    responses = together.ask([*OTHERS[:9], BROKEN, *OTHERS[9:]])
    assert max(together.sizes) >= 10
    broken = responses.pop(BROKEN)
    assert_error(broken, 500, "unexpected error")
    assert {customer: response.json()["churn_probability"] for customer, response in responses.items()} == right
    assert service_log.text.count("Unexpected error at /predict") == 1
    assert broken.json()["request_id"] in service_log.text
    assert "ZeroDivisionError" in service_log.text
