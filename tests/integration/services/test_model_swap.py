"""A model swap under load: no request fails, none is scored by two versions."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from holdfast.core.prediction_log import read_predictions
from holdfast.models.contract import CHALLENGER, CHAMPION
from holdfast.packaging.smoke_test import serve_bento
from tests.support.model_load import under_load
from tests.support.registry import Registry, make_registry
from tests.support.service_fixtures import service_environment
from tests.support.service_state import CUSTOMERS, fit
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

LIVE_WITHIN = 30.0  # seconds on a machine that runs other tests at the same time
_WATCHED = 10.0  # seconds in which the damaged version must not serve


@dataclass
class Shop:
    """A served process and its registry; versions 1 to 3 are good and score differently."""

    url: str
    data: Path
    registry: Registry
    scores: dict[str, dict[str, float]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def shop(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    data = Path(shutil.copytree(service_data, tmp_path_factory.mktemp("shop") / "data"))
    registry = make_registry(data / "mlflow")
    with service_environment(data) as settings:
        for seed in range(3):
            served, content = fit(settings, data, seed=seed)
            registry.register(content, served.model_copy(update={"model_version": ""}).model_dump_json())
        registry.set_alias(CHAMPION, "1")
        with serve_bento("services.churn:ChurnService", settings) as service:
            yield Shop(service.url, data, registry)


def _version(url: str, customer: str = "c001") -> str:
    return str(httpx.post(f"{url}/predict", json={"customer_id": customer}).json()["model_version"])


def _until(url: str, version: str) -> float:
    start = time.monotonic()
    wait_for(lambda: _version(url) == version, LIVE_WITHIN + 5, lambda: f"version {version} does not serve")
    return time.monotonic() - start


def test_moved_alias_is_served_within_seconds_without_errors(shop: Shop) -> None:
    _until(shop.url, "1")
    with under_load(shop.url) as load:
        for version in ("2", "3", "1"):
            shop.registry.set_alias(CHAMPION, version)
            assert _until(shop.url, version) < LIVE_WITHIN
    assert {status for _, status, _ in load.responses} == {200}
    assert len(load.responses) > 100
    scored: dict[tuple[str, str], set[float]] = {}
    for _, _, response in load.responses:
        items = response.get("predictions", [response])
        assert {item["model_version"] for item in items} == {response["model_version"]}
        for item in items:
            scored.setdefault((item["model_version"], item["customer_id"]), set()).add(item["churn_probability"])
    assert all(len(scores) == 1 for scores in scored.values()), "one version gives a customer one score"
    assert {version for version, _ in scored} == {"1", "2", "3"}
    of_one = [next(iter(scored[version, "c010"])) for version in ("1", "2", "3")]
    assert len(set(of_one)) == 3, "the versions score differently"


def test_tampered_version_is_never_served(shop: Shop) -> None:
    _until(shop.url, "1")
    file = shop.registry.model_path("2")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    before, _ = file.read_bytes(), file.write_bytes(content)
    try:
        shop.registry.set_alias(CHAMPION, "3")
        _until(shop.url, "3")
        shop.registry.set_alias(CHAMPION, "2")
        with under_load(shop.url) as load:
            time.sleep(_WATCHED)
        assert {(status, response["model_version"]) for _, status, response in load.responses} == {(200, "3")}
        assert (
            'holdfast_refused_versions{model="churn",reason="unusable",version="2"} 1.0'
            in httpx.get(f"{shop.url}/metrics").text
        )
    finally:
        file.write_bytes(before)
        shop.registry.set_alias(CHAMPION, "1")
    _until(shop.url, "1")


def test_canary_scores_its_customers_and_shadow_none(shop: Shop) -> None:
    _until(shop.url, "1")
    shop.registry.set_alias(CHALLENGER, "2")
    shop.registry.set_traffic("2", '{"mode": "canary", "share": 0.3}')
    body = {"customer_ids": CUSTOMERS}
    deadline = time.monotonic() + LIVE_WITHIN
    versions: dict[str, str] = {}
    while "2" not in versions.values() and time.monotonic() < deadline:
        items = httpx.post(f"{shop.url}/predict_batch", json=body).json()["predictions"]
        versions = {item["customer_id"]: item["model_version"] for item in items}
    canaries = {customer for customer, version in versions.items() if version == "2"}
    assert 60 <= len(canaries) <= 120, "about 30% of 300"
    for customer in CUSTOMERS[:60]:
        assert _version(shop.url, customer) == ("2" if customer in canaries else "1"), (
            "sticky, one by one as in a batch"
        )
    shop.registry.set_traffic("2", '{"mode": "canary", "share": 0.5}')
    more = canaries
    while len(more) < 121 and time.monotonic() < deadline + LIVE_WITHIN:
        items = httpx.post(f"{shop.url}/predict_batch", json=body).json()["predictions"]
        more = {item["customer_id"] for item in items if item["model_version"] == "2"}
    assert canaries < more, "a growing share retains its customers"
    shop.registry.set_traffic("2", '{"mode": "shadow"}')
    started = time.time_ns() // 1000
    deadline = time.monotonic() + 3 * LIVE_WITHIN  # the log is written in batches
    routes: set[tuple[str, str]] = set()
    while ("shadow", "2") not in routes and time.monotonic() < deadline:
        httpx.post(f"{shop.url}/predict_batch", json=body)
        time.sleep(0.3)
        rows = read_predictions(shop.data / "predictions").to_pylist()
        routes = {(row["route"], row["version"]) for row in rows if row["answered_at"].timestamp() * 1e6 > started}
    assert ("shadow", "2") in routes
    assert {_version(shop.url, customer) for customer in sorted(canaries)[:20]} == {"1"}
    shop.registry.set_alias(CHALLENGER, None)
