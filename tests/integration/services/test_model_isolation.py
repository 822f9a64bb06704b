"""A problem of one model: the other answers with the same bits, the combined response names the reason."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.core.prediction_log import read_predictions
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME, SERVED_MODEL_TAG
from holdfast.models.loaded_regressor import load_verified_regressor
from holdfast.models.promotion_signature import SIGNATURE_TAG, ensure_keys, sign_version
from tests.support.live_metrics import Exposition
from tests.support.live_service import live_service
from tests.support.service_fixtures import assert_error
from tests.support.service_requests import predict, problem_kind
from tests.support.service_state import CUSTOMERS
from tests.support.two_models import SPEND, TwoModels, build_two_models, changed_file, fit_spend
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

FIELDS = ["churn_probability", "will_churn", "expected_spend", "value_at_risk", "spend_version"]
Fault = Callable[[TwoModels], AbstractContextManager[object]]


@pytest.fixture(scope="module")
def shop(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> TwoModels:
    return build_two_models(service_data, tmp_path_factory.mktemp("isolation"))


@pytest.fixture(scope="module")
def whole(shop: TwoModels) -> dict[str, dict[str, Any]]:
    """Responses of both models without a fault."""
    with shop.serve() as client:
        return {customer: predict(client, customer, fields=FIELDS).json() for customer in CUSTOMERS[:10]}


@contextlib.contextmanager
def _no_champion(shop: TwoModels, model: str) -> Iterator[None]:
    shop.client.delete_registered_model_alias(model, CHAMPION)
    try:
        yield
    finally:
        shop.client.set_registered_model_alias(model, CHAMPION, "1")


@contextlib.contextmanager
def _contract(shop: TwoModels, model: str, text: str) -> Iterator[None]:
    tag = shop.client.get_model_version(model, "1").tags[SERVED_MODEL_TAG]
    shop.client.set_model_version_tag(model, "1", SERVED_MODEL_TAG, text)
    try:
        yield
    finally:
        shop.client.set_model_version_tag(model, "1", SERVED_MODEL_TAG, tag)


@contextlib.contextmanager
def _only_signed(shop: TwoModels, model: str) -> Iterator[None]:
    """Create a key and sign the other model only."""
    other = SPEND if model == MODEL_NAME else MODEL_NAME
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_DATA", str(shop.data))
        keys, _ = ensure_keys()
        tags = shop.client.get_model_version(other, "1").tags
        shop.client.set_model_version_tag(other, "1", SIGNATURE_TAG, sign_version(keys, "1", tags, CHAMPION, other))
    try:
        yield
    finally:
        (shop.data / "local" / "promotion-keys").unlink()
        shop.client.delete_model_version_tag(other, "1", SIGNATURE_TAG)


@contextlib.contextmanager
def _failing_prediction(shop: TwoModels, model: str) -> Iterator[None]:
    from holdfast.models.loaded_model import LoadedModel
    from holdfast.models.loaded_regressor import LoadedRegressor

    kind = LoadedModel if model == MODEL_NAME else LoadedRegressor
    predict_rows = kind.predict

    def fail_on_customers(self: Any, matrix: Any) -> Any:
        if threading.current_thread().name == "scoring":  # a request, unlike the examples at load
            raise ArithmeticError("injected")
        return predict_rows(self, matrix)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "predict", fail_on_customers)
        yield


def _other_of(shop: TwoModels, model: str) -> str:
    other = SPEND if model == MODEL_NAME else MODEL_NAME
    return str(shop.client.get_model_version(other, "1").tags[SERVED_MODEL_TAG])


FAULTS: dict[str, Callable[[TwoModels, str], AbstractContextManager[object]]] = {
    "no champion": _no_champion,
    "missing file": lambda shop, model: changed_file(shop.model_file(model, "1"), None),
    "damaged file": lambda shop, model: changed_file(shop.model_file(model, "1"), b"PK damaged"),
    "unreadable contract": lambda shop, model: _contract(shop, model, "{}"),
    "contract of the other model": lambda shop, model: _contract(shop, model, _other_of(shop, model)),
    "unsigned": _only_signed,
    "failing prediction": _failing_prediction,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_spend_leaves_churn_with_the_same_bits(
    shop: TwoModels, whole: dict[str, dict[str, Any]], fault: str
) -> None:
    status, kind = (500, "internal_error") if fault == "failing prediction" else (503, "not_ready")
    with FAULTS[fault](shop, SPEND), shop.serve() as client:
        for customer, expected in whole.items():
            churn = predict(client, customer)
            assert churn.status_code == 200
            assert churn.json()["churn_probability"] == expected["churn_probability"]
        assert client.get("/readyz").status_code == 200
        spend = client.post("/models/spend/predict", json={"customer_id": "c001"})
        detail = assert_error(spend, status)
        assert problem_kind(spend) == kind
        both = predict(client, fields=FIELDS).json()
        assert both == {
            "customer_id": "c001",
            "churn_probability": whole["c001"]["churn_probability"],
            "will_churn": whole["c001"]["will_churn"],
            **dict.fromkeys(FIELDS[2:]),
            "problems": {"spend": {"kind": kind, "detail": detail}},
        }
        batch = client.post("/predict_batch", json={"customer_ids": CUSTOMERS[:10], "fields": FIELDS}).json()
        for item in batch["predictions"]:
            assert (item["status"], item["expected_spend"]) == ("ok", None)
            assert item["churn_probability"] == whole[item["customer_id"]]["churn_probability"]
            assert item["problems"]["spend"]["kind"] == kind
        assert_error(predict(client, fields=["expected_spend"]), status)
        state = client.get("/models/spend/readyz")
        assert state.status_code == (200 if kind == "internal_error" else 503)


@pytest.mark.parametrize("fault", ["damaged file", "unsigned", "failing prediction"])
def test_broken_churn_leaves_spend_with_the_same_bits(
    shop: TwoModels, whole: dict[str, dict[str, Any]], fault: str
) -> None:
    models = shop.data / "bentoml" / "models"
    hidden = models.rename(models.with_name("hidden"))  # else the service falls back to the model in the bento
    try:
        with FAULTS[fault](shop, MODEL_NAME), shop.serve() as client:
            kind = "internal_error" if fault == "failing prediction" else "not_ready"
            for customer, expected in whole.items():
                spend = client.post("/models/spend/predict", json={"customer_id": customer})
                assert spend.status_code == 200, spend.text
                assert spend.json()["expected_spend"] == expected["expected_spend"]
            churn = predict(client)
            assert (churn.status_code, problem_kind(churn)) == (500 if kind == "internal_error" else 503, kind)
            both = predict(client, fields=FIELDS).json()
            assert (both["churn_probability"], both["value_at_risk"]) == (None, None)
            assert both["expected_spend"] == whole["c001"]["expected_spend"]
            assert both["problems"]["churn"]["kind"] == kind
            assert client.get("/models/spend/readyz").status_code == 200
    finally:
        hidden.rename(models)


def test_one_failing_customer_fails_no_other_request(shop: TwoModels, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch in which the spend of one customer raises is halved for spend only."""
    from holdfast.models.loaded_regressor import LoadedRegressor

    predict_rows = LoadedRegressor.predict
    recency = shop.contract.inputs.index("days_since_last_purchase")
    bad = shop.matrix[5, recency]

    def fail_on_one(self: LoadedRegressor, matrix: Any) -> Any:
        if (matrix[:, recency] == bad).any():
            raise ArithmeticError("injected")
        return predict_rows(self, matrix)

    with shop.serve() as client:
        monkeypatch.setattr(LoadedRegressor, "predict", fail_on_one)
        assert predict(client, CUSTOMERS[5], fields=FIELDS).json()["problems"]["spend"]["kind"] == "internal_error"
        fine = next(name for name, row in zip(CUSTOMERS, shop.matrix, strict=True) if row[recency] != bad)
        assert predict(client, fine, fields=FIELDS).json()["problems"] == {}


def test_challenger_of_spend_gets_its_share_and_churn_none(shop: TwoModels) -> None:
    contract, content = fit_spend(shop.contract, shop.matrix, "boosting")
    version = shop.register_spend(content, contract.model_dump_json())
    predicted = load_verified_regressor(contract, content).predict(shop.matrix)
    other = dict(zip(CUSTOMERS, predicted.tolist(), strict=True))
    expected = shop.expected_spend()
    try:
        for traffic in ('{"mode": "shadow"}', '{"mode": "canary", "share": 0.5}'):
            shop.set_traffic(version, traffic)
            with shop.serve() as client:
                body = {"customer_ids": CUSTOMERS, "fields": ["expected_spend", "spend_version", "churn_version"]}
                items = client.post("/predict_batch", json=body).json()["predictions"]
            assert {item["churn_version"] for item in items} == {"1"}
            for item in items:
                own = expected if item["spend_version"] == "1" else other
                assert item["expected_spend"] == own[item["customer_id"]]
            share = sum(item["spend_version"] == version for item in items) / len(items)
            assert share == 0 if "shadow" in traffic else 0.3 < share < 0.7
    finally:
        shop.set_spend(CHALLENGER, None)
    logged = read_predictions(shop.data / "predictions", model="spend").to_pandas()
    shadow = logged[logged["route"] == "shadow"].drop_duplicates("customer_id").set_index("customer_id")
    assert shadow["expected_spend"].to_dict() == other
    assert set(logged.loc[logged["route"] == "canary", "version"]) == {version}


@pytest.mark.long
def test_processes_follow_the_aliases_of_each_model(shop: TwoModels) -> None:
    """A moved alias of spend is served within seconds, and a damaged one never, while churn stays as it is."""
    began = datetime.now(UTC)  # tests before this one have logged predictions, too
    contract, content = fit_spend(shop.contract, shop.matrix, "boosting")
    second = shop.register_spend(content, contract.model_dump_json())
    options = {"HOLDFAST_KEYLESS": "loopback", "HOLDFAST_REGISTRY_POLL_SECONDS": "0.2", "HOLDFAST_WORKERS": "2"}
    with live_service(shop.data, HOLDFAST_REGISTRY_START_SECONDS="60", **options) as service:

        def ask(fields: list[str]) -> dict[str, Any]:
            body = {"customer_id": "c001", "fields": fields}
            found: dict[str, Any] = httpx.post(f"{service.url}/predict", json=body, timeout=20).json()
            return found

        wait_for(lambda: ask(["spend_version"])["spend_version"] == "1", 30)
        before = ask(["churn_probability", "expected_spend"])
        shop.set_spend(CHAMPION, second)
        wait_for(lambda: {ask(["spend_version"])["spend_version"] for _ in range(8)} == {second}, 30)
        after = ask(["churn_probability", "expected_spend", "churn_version"])
        assert (after["churn_probability"], after["churn_version"]) == (before["churn_probability"], "1")
        assert after["expected_spend"] != before["expected_spend"]
        third = shop.register_spend(content, contract.model_dump_json())
        shop.model_file(SPEND, third).write_bytes(b"PK damaged")
        shop.set_spend(CHAMPION, third)

        def metrics() -> Exposition:
            return Exposition.of(httpx.get(f"{service.url}/metrics", timeout=20).text)

        wait_for(lambda: metrics().total("holdfast_refused_versions", model="spend", version=third) == 1, 30)
        assert ask(["spend_version"])["spend_version"] == second
        wait_for(lambda: metrics().total("holdfast_predictions_total", model="spend", version=second) > 0, 30)
        found = metrics()
        assert found.by("holdfast_champion", "model", "version") == {("churn", "1"): 1, ("spend", second): 1}
        assert found.total("holdfast_refused_versions", model="churn") == 0
        assert found.total("holdfast_expected_value_count", model="churn") == 0
        assert found.total("holdfast_score_count", model="spend") == 0
        assert found.by("holdfast_model_ready", "model") == {("churn",): 1, ("spend",): 1}
        assert service.end() == 0
    logged = read_predictions(shop.data / "predictions", since=began, model="spend")
    assert set(logged["version"].to_pylist()) == {"1", second}
