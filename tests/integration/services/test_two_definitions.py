"""Champion and challenger on two versions of the feature definitions: each scores with its own features."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from holdfast.core.prediction_log import read_predictions
from holdfast.feast_stores.raw_values import RawColumns
from holdfast.online_features.reader import OnlineReader
from holdfast.rollout.challenger_predictions import ChallengerPredictions
from holdfast.rollout.model_pair import ChampionInputsError, load_pair
from holdfast.training.mlflow_client import open_registry
from services.observability.metrics import METRICS
from tests.support.definition_versions import change_window, remove_feature
from tests.support.service_fixtures import assert_error
from tests.support.service_requests import predict, predict_batch, probabilities
from tests.support.service_state import AS_OF, CUSTOMERS
from tests.support.two_definitions import (
    CHALLENGER_VERSION,
    CHAMPION_VERSION,
    STORES,
    TwoDefinitions,
    build_once,
    copy_two_definitions,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

SHADOW, HALF = '{"mode": "shadow"}', '{"mode": "canary", "share": 0.5}'
CASES = [("sqlite", "window changed"), ("redis", "feature added")]  # all: test_two_definitions_alone.py


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def shop(
    request: pytest.FixtureRequest, service_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoDefinitions]:
    online_store, change = request.param
    folder = tmp_path_factory.mktemp("two")
    with copy_two_definitions(build_once(service_data, change), folder, online_store) as found:
        yield found


@pytest.fixture(autouse=True)
def _look_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.features.version_registry.RETRY_SECONDS", 0.0)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[Any, ...]]]:
    """Label values of the failures and refusals of the challenger."""
    found: dict[str, list[tuple[Any, ...]]] = {"failures": [], "refusals": []}
    for name, metric in (("failures", METRICS.challenger_failures), ("refusals", METRICS.challenger_refusals)):

        def add(*labels: str, amount: float = 1, name: str = name) -> None:
            found[name] += [(*labels, amount)] if amount else []

        monkeypatch.setattr(metric, "add", add)
    return found


def _routed(shop: TwoDefinitions, share: float) -> dict[str, str]:
    canary = shop.canary_customers(share)
    return {customer: CHALLENGER_VERSION if customer in canary else CHAMPION_VERSION for customer in CUSTOMERS}


def _serving(client: TestClient) -> set[str]:
    return {item["model_version"] for item in predict_batch(client, CUSTOMERS).values()}


def _logged(shop: TwoDefinitions, client: TestClient, route: str) -> Any:
    """Score all customers, and return the logged rows of the route, by customer."""
    response = client.post("/predict_batch", json={"customer_ids": CUSTOMERS})
    request_id = response.headers["x-request-id"]

    def find() -> Any:
        log = read_predictions(shop.data / "predictions").to_pandas()
        rows = log[(log.request_id == request_id) & (log.route == route)]
        return rows.set_index("customer_id") if len(rows) else None

    return wait_for(lambda: find() is not None, 10, lambda: f"no row of route {route}") and find()


def _assert_inputs(shop: TwoDefinitions, rows: Any, version: str) -> None:
    """Check that logged inputs are those of the model's version of the definitions, bit for bit."""
    contract = shop.contracts[version]
    numbers = [CUSTOMERS.index(customer) for customer in rows.index]
    assert rows[contract.inputs].to_numpy(dtype=float).tobytes() == shop.inputs[version][numbers].tobytes()
    assert set(rows.definitions) == {contract.definitions}
    assert set(rows.version) == {version}
    assert rows.churn_probability.to_dict() == {name: shop.scores[version][name] for name in rows.index}


def test_models_score_differently(shop: TwoDefinitions) -> None:
    one, two = (shop.scores[version] for version in (CHAMPION_VERSION, CHALLENGER_VERSION))
    assert sum(one[customer] != two[customer] for customer in CUSTOMERS) > 200


def test_shadow_scores_inputs_of_its_own_version(shop: TwoDefinitions, counted: Any) -> None:
    with shop.serve(SHADOW) as client:
        assert probabilities(client, CUSTOMERS) == shop.scores[CHAMPION_VERSION]
        assert predict(client).json()["model_version"] == CHAMPION_VERSION
        rows = _logged(shop, client, "shadow")
    assert len(rows) == len(CUSTOMERS)
    _assert_inputs(shop, rows, CHALLENGER_VERSION)
    _assert_inputs(shop, _log(shop, "champion"), CHAMPION_VERSION)
    assert counted == {"failures": [], "refusals": []}


def _log(shop: TwoDefinitions, route: str) -> Any:
    log = read_predictions(shop.data / "predictions").to_pandas()
    return log[log.route == route].drop_duplicates("customer_id").set_index("customer_id")


def test_canary_is_scored_with_inputs_of_its_own_version(shop: TwoDefinitions, counted: Any) -> None:
    routed = _routed(shop, 0.5)
    assert 100 < list(routed.values()).count(CHALLENGER_VERSION) < 200
    with shop.serve(HALF) as client:
        items = predict_batch(client, CUSTOMERS)
        for customer in CUSTOMERS[:40]:
            single = predict(client, customer).json()
            assert single["model_version"] == routed[customer]
            assert single["churn_probability"] == shop.scores[routed[customer]][customer]
            assert single["feature_timestamp"] == "2024-03-01T00:00:00Z"
        rows = _logged(shop, client, "canary")
    assert {customer: item["model_version"] for customer, item in items.items()} == routed
    assert {customer: item["churn_probability"] for customer, item in items.items()} == {
        customer: shop.scores[version][customer] for customer, version in routed.items()
    }
    _assert_inputs(shop, rows, CHALLENGER_VERSION)
    assert set(rows.index) == {customer for customer, version in routed.items() if version == CHALLENGER_VERSION}
    assert counted == {"failures": [], "refusals": []}


def test_rollout_scores_each_version_with_its_own_inputs(shop: TwoDefinitions, monkeypatch: Any) -> None:
    n, own = len(CUSTOMERS), shop.scores[CHALLENGER_VERSION]
    asked = [*CUSTOMERS[1:], "unknown"]
    times = np.full(n, int(AS_OF.timestamp() * 1e6))
    x, active = shop.inputs[CHALLENGER_VERSION], np.ones(n, dtype=bool)
    with shop.environment() as settings:
        pair = load_pair(open_registry(settings), settings, CHALLENGER_VERSION, CHAMPION_VERSION)
        scored = ChallengerPredictions(n, asked, times, np.array(list(own.values())), x, active, n)
        challenger, champion = pair.score(scored)
        assert challenger.tolist() == list(own.values())
        assert champion[:-1].tolist() == [shop.scores[CHAMPION_VERSION][customer] for customer in asked[:-1]]
        assert np.isnan(champion[-1]), "a customer without features of the champion is not compared"
        monkeypatch.setattr(pair.champion_reader, "read", _fail)
        with pytest.raises(ChampionInputsError, match="the champion's features cannot be read: no answer"):
            pair.score(scored)


def _fail(*_: Any) -> None:
    raise OSError("no answer")


def test_explanation_has_inputs_of_the_scoring_model(shop: TwoDefinitions) -> None:
    routed = _routed(shop, 0.5)
    body = {"customer_ids": CUSTOMERS[:40], "explain": True}
    with shop.serve(HALF) as client:
        items = client.post("/predict_batch", json=body).json()["predictions"]
    for item in items:
        version = routed[item["customer_id"]]
        assert list(item["explanation"]["contributions"]) == shop.contracts[version].inputs
        total = item["explanation"]["typical_log_odds"] + sum(item["explanation"]["contributions"].values())
        assert total == pytest.approx(item["explanation"]["log_odds"], abs=1e-12)


def test_store_reads_only_canary_customers_for_the_challenger(
    shop: TwoDefinitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = shop.canary_customers(0.5)
    reads: list[list[str]] = []
    start = OnlineReader.start

    def counting(reader: OnlineReader, customer_ids: Sequence[str]) -> Callable[[], RawColumns]:
        reads.append(list(customer_ids))
        return start(reader, customer_ids)

    some = CUSTOMERS[:30]
    with shop.serve(HALF, HOLDFAST_PREDICTION_LOG="false") as client:
        probabilities(client, some)
        monkeypatch.setattr(OnlineReader, "start", counting)
        probabilities(client, some)
        of_batch = [read for read in reads if read != ["readiness probe"]]
    assert of_batch == [some, [customer for customer in some if customer in canary]]


@pytest.mark.parametrize("traffic", [SHADOW, HALF])
def test_applied_definitions_have_no_effect(shop: TwoDefinitions, traffic: str) -> None:
    """`feast apply` of another checkout, then the loss of the registry that it changes."""
    from holdfast.feast_stores.open_store import open_store

    with shop.serve(traffic) as client:
        before = predict_batch(client, CUSTOMERS)
        store = open_store()
        file = shop.data / store.config.registry.path
        content = file.read_bytes()
        try:
            remove_feature(store)
            change_window(store)
            assert file.read_bytes() != content
            assert predict_batch(client, CUSTOMERS) == before
            file.unlink()
            assert predict_batch(client, CUSTOMERS) == before
            assert client.get("/readyz").status_code == 200
        finally:
            file.write_bytes(content)


class TestTrouble:
    """Faults of one version; each test has its own data folder."""

    @pytest.fixture(params=STORES)
    def shop(self, request: pytest.FixtureRequest, service_data: Path, tmp_path: Path) -> Iterator[TwoDefinitions]:
        with copy_two_definitions(build_once(service_data, "window changed"), tmp_path, request.param) as found:
            yield found

    def test_customer_broken_for_the_challenger_is_scored_by_the_champion(
        self, shop: TwoDefinitions, counted: Any, service_log: pytest.LogCaptureFixture
    ) -> None:
        broken, other = shop.canary_customers(0.5)[:2]
        shop.remove_value(shop.new, broken)
        with shop.serve(HALF) as client:
            items = predict_batch(client, [broken, other])
            assert items[broken]["model_version"] == CHAMPION_VERSION
            assert items[broken]["churn_probability"] == shop.scores[CHAMPION_VERSION][broken]
            assert items[other]["model_version"] == CHALLENGER_VERSION
        assert counted["refusals"] == [("churn", CHALLENGER_VERSION, "missing_feature", 1)]
        assert counted["failures"] == [("churn", CHALLENGER_VERSION, 1)]
        assert "Challenger version 2" in service_log.text

    def test_customer_broken_for_the_champion_is_rejected_on_each_route(self, shop: TwoDefinitions) -> None:
        broken = shop.canary_customers(0.5)[0]
        shop.remove_value(shop.old, broken)
        with shop.serve(HALF) as client:
            assert_error(predict(client, broken), 503, "total_amount")

    def test_retired_version_of_the_challenger_leaves_the_champion_unharmed(
        self, shop: TwoDefinitions, service_log: pytest.LogCaptureFixture
    ) -> None:
        from holdfast.feature_store.version_retirement import retire_version

        with shop.serve(HALF) as client:
            assert _serving(client) == {CHAMPION_VERSION, CHALLENGER_VERSION}
            with shop.environment() as settings:
                retire_version(settings, shop.new, "test")
            for _ in range(3):
                assert probabilities(client, CUSTOMERS) == shop.scores[CHAMPION_VERSION]
            assert client.get("/readyz").status_code == 200
            wait_for(lambda: "Version 2 is named by the registry, but not served" in service_log.text)
            assert "was retired" in service_log.text
            assert probabilities(client, CUSTOMERS) == shop.scores[CHAMPION_VERSION]

    def test_retired_version_of_the_champion_is_a_defined_error(self, shop: TwoDefinitions) -> None:
        from holdfast.feature_store.version_retirement import retire_version

        with shop.serve(SHADOW) as client:
            assert predict(client).status_code == 200
            with shop.environment() as settings:
                retire_version(settings, shop.old, "test")
            assert_error(predict(client), 503, f"version {shop.old} of the feature definitions does not exist")
            assert_error(client.get("/readyz"), 503, "does not exist")
            assert client.get("/livez").status_code == 200

    def test_challenger_without_a_version_is_served_once_it_exists(self, shop: TwoDefinitions) -> None:
        folder = shop.data / "feast" / "versions" / shop.new
        away = folder.rename(shop.data / "away")
        with shop.serve(HALF) as client:
            assert probabilities(client, CUSTOMERS) == shop.scores[CHAMPION_VERSION]
            assert client.get("/readyz").status_code == 200
            away.rename(folder)
            wait_for(
                lambda: {item["model_version"] for item in predict_batch(client, CUSTOMERS).values()} == {"1", "2"}
            )

    def test_champion_promoted_from_the_challenger_reads_its_version(self, shop: TwoDefinitions) -> None:
        """Promotion and rollback, as a rollout does them."""
        from holdfast.models.contract import CHALLENGER, CHAMPION

        with shop.serve(HALF) as client:
            assert predict(client).status_code == 200
            for champion in (CHALLENGER_VERSION, CHAMPION_VERSION):
                if champion == CHALLENGER_VERSION:
                    shop.registry.set_alias(CHALLENGER, None)
                shop.registry.set_alias(CHAMPION, champion)
                wait_for(lambda wanted=champion: probabilities(client, CUSTOMERS) == shop.scores[wanted])
                assert client.get("/readyz").status_code == 200

    def test_challenger_that_is_being_materialized_is_no_failure(self, shop: TwoDefinitions, counted: Any) -> None:
        """One view of the challenger's version is a day newer than the others."""
        from datetime import timedelta

        import pandas as pd

        from holdfast.feast_stores.open_store import open_store

        customer = shop.canary_customers(0.5)[0]
        with shop.serve(HALF) as client:
            store = open_store(definitions=shop.new)
            view = store.get_feature_view("customer_purchase_rhythm")
            rows = pd.concat([pd.read_parquet(file) for file in Path(view.batch_source.path).rglob("*.parquet")])
            row = rows[rows.customer_id == customer].assign(as_of=AS_OF + timedelta(days=1))
            store.write_to_online_store(view.name, row)
            found = predict(client, customer, as_of=(AS_OF + timedelta(days=2)).isoformat()).json()
        assert found["model_version"] == CHAMPION_VERSION
        assert counted == {"failures": [], "refusals": [("churn", CHALLENGER_VERSION, "features_updating", 1)]}
        assert np.isfinite(found["churn_probability"])
