"""HOLDFAST_LAST_KNOWN: while the store is down, recent customers are scored from cached features."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from feature_repo.timestamps import NO_TIME
from holdfast.core.prediction_log import read_predictions
from holdfast.feast_stores.raw_values import RawColumns
from services.features.feature_cache import FeatureCache
from services.observability.metrics import METRICS
from tests.support.definition_versions import open_only, registry_file
from tests.support.redis_service_state import RedisServiceState, redis_service_state
from tests.support.service_fixtures import assert_error
from tests.support.service_requests import (
    UNAVAILABLE,
    assert_unavailable,
    predict,
    predict_batch,
    problem_kind,
    wait_until_available,
)
from tests.support.service_state import AS_OF
from tests.support.waiting import wait_for

KNOWN = ["c001", "c002"]


@pytest.fixture(scope="module")
def shop(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServiceState]:
    with redis_service_state(service_data, tmp_path_factory.mktemp("last-known")) as shop:
        yield shop


@pytest.fixture(autouse=True)
def _running(shop: RedisServiceState) -> Iterator[None]:
    yield
    shop.server.restart()
    shop.restore()


@pytest.fixture
def service(shop: RedisServiceState) -> Iterator[TestClient]:
    """A service with requests for ``KNOWN``, in this order, and for an unknown customer."""
    with shop.serve(HOLDFAST_LAST_KNOWN="4") as client:
        for customer in ("no-such-id", *KNOWN):
            predict(client, customer)
        yield client


def test_cached_customer_gets_same_score_marked_stale(service: TestClient, shop: RedisServiceState) -> None:
    before = predict(service).json()
    assert before["stale"] is False
    shop.server.kill()
    for _ in range(5):  # with the breaker closed, and open
        after = predict(service).json()
        assert after == before | {"stale": True}
    assert predict(service, "c001", explain=True).json()["explanation"] is not None
    assert service.get("/readyz").status_code == 200
    shop.server.start()
    wait_for(lambda: predict(service).json() == before, describe_failure=lambda: predict(service).text)


def test_uncached_customer_gets_store_unavailable(service: TestClient, shop: RedisServiceState) -> None:
    shop.server.kill()
    assert_unavailable(predict(service, "c003"))
    assert predict(service, "no-such-id").status_code == 404
    items = predict_batch(service, ["c001", "c003", "no-such-id", "c002"])
    assert [item["status"] for item in items.values()] == ["ok", "store_unavailable", "unknown_customer", "ok"]
    assert [item["stale"] for item in items.values()] == [True, None, None, True]
    assert items["c003"]["detail"] == UNAVAILABLE


def test_cache_above_capacity_retains_most_recent(service: TestClient, shop: RedisServiceState) -> None:
    predict_batch(service, ["c001", "c003", "c004", "c005"])
    shop.server.kill()
    assert [predict(service, customer).status_code for customer in ("c001", "c005")] == [200, 200]
    assert_unavailable(predict(service, "c002"))


def test_cached_predictions_are_logged_and_counted(shop: RedisServiceState) -> None:
    from feature_repo.settings import Settings

    counted: list[Any] = []
    with shop.serve(HOLDFAST_LAST_KNOWN="4") as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(METRICS.last_known, "add", lambda *labels, amount: counted.append(amount))
        predict_batch(client, KNOWN)
        shop.server.kill()
        predict_batch(client, [*KNOWN, "c003"])
        folder = Settings.from_environment().predictions
    rows = read_predictions(folder).sort_by("answered_at").to_pylist()[-4:]
    assert [row["stale"] for row in rows] == [False, False, True, True]
    assert [row["customer_id"] for row in rows] == [*KNOWN, *KNOWN]
    assert counted == [2]


def test_cached_features_beyond_hard_limit_are_rejected(service: TestClient, shop: RedisServiceState) -> None:
    shop.server.kill()
    late = (AS_OF + timedelta(days=30)).isoformat()
    too_late = (AS_OF + timedelta(days=30, seconds=1)).isoformat()
    assert predict(service, "c001", as_of=late).json()["stale"] is True
    assert_error(predict(service, "c001", as_of=too_late), 422, "the limit is 30.00 days")


def test_empty_store_does_not_clear_cache(service: TestClient, shop: RedisServiceState) -> None:
    shop.server.client().flushall()
    for _ in range(5):
        assert predict(service).json()["stale"] is True
    assert_unavailable(predict(service, "c003"))


def test_service_with_empty_cache_is_not_ready(shop: RedisServiceState) -> None:
    shop.server.kill()
    with shop.serve(HOLDFAST_LAST_KNOWN="4") as client:
        assert_unavailable(predict(client))
        assert_error(client.get("/readyz"), 503, UNAVAILABLE)
        shop.server.start()
        wait_until_available(client)
        shop.server.kill()
        assert predict(client).json()["stale"] is True
        assert client.get("/readyz").status_code == 200


def test_cache_is_not_used_on_changed_definitions(service: TestClient, shop: RedisServiceState) -> None:
    registry = registry_file(shop.data).with_name("registry.redis.db")
    before = registry.read_bytes()
    shop.server.kill()
    assert predict(service).status_code == 200
    store = open_only(shop.data)
    view = store.get_feature_view("customer_recent_activity")
    view.ttl = view.ttl * 2
    store.registry.apply_feature_view(view, store.project)
    try:
        response = predict(service)
        assert_error(response, 503, "feature_service differ")
        assert problem_kind(response) == "not_ready"
        assert_error(service.get("/readyz"), 503, "feature_service differ")
    finally:
        registry.write_bytes(before)


def test_cache_returns_rows_and_mask_of_unknown_customers() -> None:
    cache = FeatureCache(10)
    assert cache.is_empty
    cache.put(["x", "y"], RawColumns([[b"a", b"b"]], [[1, 2]]))
    assert not cache.is_empty
    found, unknown = cache.get(["y", "z"], (1, 1))
    assert found == RawColumns([[b"b", None]], [[2, NO_TIME]])
    assert unknown.tolist() == [False, True]
    cache.put(["x"], RawColumns([[b"c"]], [[3]]))
    assert cache.get(["x"], (1, 1))[0] == RawColumns([[b"c"]], [[3]])
