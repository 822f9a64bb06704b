"""Faults of the online store: each request gets a correct prediction or a clear problem."""

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.support.definition_versions import online_file
from tests.support.redis_service_state import RedisServiceState, filled_key, redis_service_state
from tests.support.service_fixtures import assert_error, serve_in_process
from tests.support.service_requests import UNAVAILABLE, assert_unavailable, predict, probabilities, wait_until_available
from tests.support.service_state import CUSTOMERS
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

TIMEOUT = 0.25
TIMEOUTS = {"HOLDFAST_STORE_TIMEOUT_MS": "250"}
NOISE = 2.0  # what a busy machine may add to any time
SOME = CUSTOMERS[:40]


@pytest.fixture(scope="module")
def shop(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServiceState]:
    with redis_service_state(service_data, tmp_path_factory.mktemp("faults")) as shop:
        yield shop


@pytest.fixture(scope="module")
def network(shop: RedisServiceState) -> Iterator[TcpProxy]:
    """A TCP proxy between service and Redis."""
    with tcp_proxy(shop.server.port) as network:
        yield network


@pytest.fixture(scope="module")
def service(shop: RedisServiceState, network: TcpProxy) -> Iterator[TestClient]:
    with shop.serve(HOLDFAST_REDIS=f"127.0.0.1:{network.port}", **TIMEOUTS) as client:
        yield client


@pytest.fixture(scope="module")
def right(service: TestClient) -> dict[str, float]:
    """The probability of each customer without a fault."""
    return probabilities(service, CUSTOMERS)


@pytest.fixture(autouse=True)
def _whole(service: TestClient, shop: RedisServiceState, network: TcpProxy, right: dict[str, float]) -> Iterator[None]:
    """Restore the server after each test, until the service predicts again."""
    yield
    network.delay, network.cuts, network.piece = 0.0, 0, 65_536
    shop.restore()
    wait_until_available(service)


def refused(client: TestClient) -> float:
    """Send a request that fails; returns its duration in seconds."""
    began = time.monotonic()
    assert_unavailable(predict(client))
    return time.monotonic() - began


def test_stopped_store_is_unavailable_until_it_restarts(
    service: TestClient, shop: RedisServiceState, right: dict[str, float], service_log: pytest.LogCaptureFixture
) -> None:
    shop.server.kill()
    for _ in range(5):
        assert refused(service) < TIMEOUT + NOISE
    assert_unavailable(service.post("/predict_batch", json={"customer_ids": SOME}))
    assert_error(service.get("/readyz"), 503, UNAVAILABLE)
    assert service.get("/livez").status_code == 200
    shop.server.start()
    wait_until_available(service)
    assert probabilities(service, CUSTOMERS) == right
    assert [record.getMessage().split(":")[0] for record in service_log.records] == ["Not ready"]


def test_service_started_without_store_recovers(shop: RedisServiceState, right: dict[str, float]) -> None:
    shop.server.kill()
    with shop.serve(**TIMEOUTS) as client:
        assert_unavailable(predict(client))
        assert client.get("/readyz").status_code == 503
        shop.server.start()
        wait_until_available(client)
        assert probabilities(client, SOME) == {customer: right[customer] for customer in SOME}


def test_hanging_store_times_out_and_opens_breaker(
    service: TestClient, shop: RedisServiceState, right: dict[str, float]
) -> None:
    shop.server.pause()
    try:
        for _ in range(3):
            assert refused(service) < 2 * TIMEOUT + NOISE
        began = time.monotonic()
        waits = [refused(service) for _ in range(40)]
        # Each second one request tries whether the store is back; if all did, this would take ten seconds.
        assert time.monotonic() - began < 10 * TIMEOUT + NOISE
        assert sorted(waits)[20] < TIMEOUT / 2
    finally:
        shop.server.resume()
    wait_until_available(service)
    assert probabilities(service, CUSTOMERS) == right


def test_slow_store_times_out_and_opens_breaker(
    service: TestClient, network: TcpProxy, right: dict[str, float]
) -> None:
    network.delay, network.piece = 0.8 * TIMEOUT, 1000
    for _ in range(3):
        began = time.monotonic()
        assert_unavailable(service.post("/predict_batch", json={"customer_ids": CUSTOMERS}))
        assert time.monotonic() - began < TIMEOUT + NOISE
    assert refused(service) < TIMEOUT / 2
    network.delay, network.piece = 0.0, 65_536
    wait_until_available(service)
    assert probabilities(service, CUSTOMERS) == right


def test_locked_file_times_out_and_opens_breaker(service_data: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(service_data, tmp_path / "data"))
    with (
        serve_in_process(data, **TIMEOUTS) as client,
        contextlib.closing(sqlite3.connect(online_file(data), isolation_level=None)) as writer,
    ):
        wanted = probabilities(client, SOME)
        writer.execute("BEGIN EXCLUSIVE")
        for _ in range(3):
            assert TIMEOUT / 2 < refused(client) < TIMEOUT + NOISE
        assert refused(client) < TIMEOUT / 2
        assert_error(client.get("/readyz"), 503, UNAVAILABLE)
        writer.execute("ROLLBACK")
        wait_until_available(client)
        assert probabilities(client, SOME) == wanted


def test_livez_responds_while_requests_wait_for_store(shop: RedisServiceState) -> None:
    with shop.serve(HOLDFAST_STORE_TIMEOUT_MS="3000") as client, ThreadPoolExecutor(2) as pool:
        shop.server.pause()
        try:
            began = time.monotonic()
            waiting = [pool.submit(predict, client, customer) for customer in ("c001", "c002")]
            time.sleep(0.2)
            assert client.get("/livez").status_code == 200
            assert client.get("/docs.json").status_code == 200
            assert time.monotonic() - began < 3
            assert not any(one.done() for one in waiting)
        finally:
            shop.server.resume()
        assert [one.result().status_code for one in waiting] == [200, 200]


@pytest.mark.parametrize(("milliseconds", "at_least", "below"), [("150", 0.15, 1.2), ("1500", 1.4, 2.9)])
def test_store_timeout_is_that_of_the_settings(
    shop: RedisServiceState, milliseconds: str, at_least: float, below: float
) -> None:
    with shop.serve(HOLDFAST_STORE_TIMEOUT_MS=milliseconds) as client:
        shop.server.pause()
        try:
            waits = [refused(client) for _ in range(2)]  # on the connection that is there, and on a new one
        finally:
            shop.server.resume()
        assert at_least <= min(waits) <= max(waits) < below


def test_late_store_reply_is_not_used_for_another_request(
    service: TestClient, network: TcpProxy, right: dict[str, float]
) -> None:
    for customer, other in zip(CUSTOMERS[:3], CUSTOMERS[3:6], strict=True):
        network.delay = 2 * TIMEOUT
        assert_unavailable(predict(service, customer))
        network.delay = 0.0
        wait_until_available(service)
        for _ in range(3):
            assert predict(service, other).json()["churn_probability"] == right[other]
    time.sleep(2 * TIMEOUT)
    assert probabilities(service, CUSTOMERS) == right


def test_connection_broken_during_read_is_retried(
    service: TestClient, network: TcpProxy, right: dict[str, float]
) -> None:
    for cut_after in (0, 1, 100, 5000):
        network.cut_after, network.cuts = cut_after, 1
        assert probabilities(service, SOME) == {customer: right[customer] for customer in SOME}
        assert network.cuts == 0


def test_connections_always_broken_are_unavailable(
    service: TestClient, network: TcpProxy, right: dict[str, float]
) -> None:
    network.cut_after, network.cuts = 100, 10_000
    for _ in range(5):
        assert refused(service) < TIMEOUT + NOISE
    network.cuts = 0
    wait_until_available(service)
    assert probabilities(service, CUSTOMERS) == right


def test_stale_connections_are_replaced(service: TestClient, shop: RedisServiceState) -> None:
    for _ in range(3):
        shop.server.client().client_kill_filter(_type="normal", skipme=True)
        assert predict(service).status_code == 200
    shop.server.restart()
    assert predict(service).status_code == 200


def test_emptied_store_is_unavailable(
    service: TestClient, shop: RedisServiceState, service_log: pytest.LogCaptureFixture
) -> None:
    assert predict(service, "no-such-id").status_code == 404
    shop.server.client().flushall()
    for customer in ("c001", "no-such-id"):
        assert_unavailable(predict(service, customer))
    assert_unavailable(service.post("/predict_batch", json={"customer_ids": SOME}))
    assert_error(service.get("/readyz"), 503, UNAVAILABLE)
    assert "is empty or incomplete" in service_log.text
    assert "python -m flows.features" in service_log.text
    shop.restore()
    wait_until_available(service)
    assert predict(service, "no-such-id").status_code == 404


def test_emptied_store_while_refilled_has_no_unknown_customers(
    service: TestClient, shop: RedisServiceState, right: dict[str, float]
) -> None:
    """Half of the customers are restored, as during a materialization into an empty server."""
    client = shop.server.client()
    client.flushall()
    there = [name for name in shop.stored if name != shop.key("c002")][:150]
    for name in {*there, shop.key("c001")}:
        client.hset(name, mapping=shop.stored[name])
    assert_unavailable(predict(service, "c002"))
    assert_unavailable(service.post("/predict_batch", json={"customer_ids": ["c001", "c002"]}))
    wait_until_available(service)
    shop.restore()
    wait_until_available(service)
    assert probabilities(service, SOME) == {customer: right[customer] for customer in SOME}
    assert predict(service, "c002").status_code == 200


def test_store_filled_view_by_view_is_unavailable(service: TestClient, shop: RedisServiceState) -> None:
    """The first view is restored for all customers, the second for none, the third for some."""
    client = shop.server.client()
    client.delete(filled_key(shop.version))
    shop.put("c001", "customer_purchase_rhythm", "_ts", None)
    assert_unavailable(predict(service, "c001"))
    assert_unavailable(service.post("/predict_batch", json={"customer_ids": ["c001", "c002"]}))
    client.set(filled_key(shop.version), b"")
    wait_for(lambda: predict(service, "c002").status_code == 200, 60, lambda: "it never answered again")
    response = predict(service, "c001")
    assert (response.status_code, response.json()["type"]) == (503, "urn:holdfast:problem:missing_feature")
    shop.restore()


def test_other_server_is_unavailable_and_logged(shop: RedisServiceState) -> None:
    with shop.serve(HOLDFAST_REDIS=f"{shop.server.connection_string},db=7") as client:
        assert_unavailable(predict(client))


class TestAccess:
    SECRET = "s3cret-0f-redis"

    @pytest.fixture
    def user(self, shop: RedisServiceState) -> Iterator[str]:
        """Return the connection string of a user without permissions."""
        shop.server.client().execute_command("ACL", "SETUSER", "limited", "on", f">{self.SECRET}", "~*", "+ping")
        yield f"127.0.0.1:{shop.server.port},username=limited,password={self.SECRET}"
        shop.server.client().execute_command("ACL", "DELUSER", "limited")

    def test_wrong_password_is_unavailable_and_not_revealed(
        self, shop: RedisServiceState, user: str, service_log: pytest.LogCaptureFixture
    ) -> None:
        wrong = f"{self.SECRET}-of-yesterday"
        with shop.serve(HOLDFAST_REDIS=user.replace(self.SECRET, wrong)) as client:
            assert_unavailable(predict(client))
            assert client.get("/readyz").status_code == 503
            assert "AuthenticationError" in service_log.text
            shop.server.client().execute_command("ACL", "SETUSER", "limited", f">{wrong}", "+@read")
            wait_until_available(client)
        assert self.SECRET not in service_log.text

    def test_password_set_later_is_unavailable(self, service: TestClient, shop: RedisServiceState) -> None:
        with ExitStack() as stack:
            stack.callback(shop.server.set_password, "")
            shop.server.set_password(self.SECRET)
            shop.server.client().client_kill_filter(_type="normal", skipme=True)
            assert_unavailable(predict(service))
        wait_until_available(service)

    def test_user_without_read_permission_is_unavailable(
        self, shop: RedisServiceState, user: str, service_log: pytest.LogCaptureFixture
    ) -> None:
        with shop.serve(HOLDFAST_REDIS=user) as client:
            assert_unavailable(predict(client))
            assert "NoPermissionError" in service_log.text
        assert self.SECRET not in service_log.text

    def test_user_with_read_permission_only_succeeds(self, shop: RedisServiceState, user: str) -> None:
        shop.server.client().execute_command("ACL", "SETUSER", "limited", "+hmget")
        with shop.serve(HOLDFAST_REDIS=user) as client:
            assert predict(client).status_code == 200
            assert predict(client, "no-such-id").status_code == 404
            assert client.get("/readyz").status_code == 200

    def test_url_as_connection_string_reveals_no_password(
        self, shop: RedisServiceState, service_log: pytest.LogCaptureFixture
    ) -> None:
        for url in (f"redis://:{self.SECRET}@127.0.0.1:6379/0", f"redis://{self.SECRET}@127.0.0.1:6379"):
            with shop.serve(HOLDFAST_REDIS=url) as client:
                assert_error(predict(client), 503)
        assert "is a URL" in service_log.text
        assert self.SECRET not in service_log.text
