"""Churn and spend in one service: endpoints, field selection, prediction log, metrics and status."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from holdfast.core.prediction_log import read_predictions
from services.selection_fields import selectable_fields
from tests.support.service_fixtures import assert_error
from tests.support.service_requests import predict, problem_kind
from tests.support.service_state import CUSTOMERS
from tests.support.two_models import TwoModels, build_two_models
from tests.support.waiting import wait_for

FIELDS = st.lists(st.sampled_from(sorted(selectable_fields())), min_size=1, max_size=8, unique=True)
SCORE_TABLE = ["churn_probability", "will_churn", "reasons", "expected_spend", "value_at_risk", "spend_version"]


@pytest.fixture(scope="module")
def shop(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> TwoModels:
    return build_two_models(service_data, tmp_path_factory.mktemp("two-models"))


@pytest.fixture(scope="module")
def both(shop: TwoModels) -> Iterator[TestClient]:
    with shop.serve() as client:
        yield client


def _spend(client: TestClient, customer: str = "c001", **more: Any) -> Any:
    return client.post("/models/spend/predict", json={"customer_id": customer, **more})


def test_endpoint_of_churn_is_the_one_without_a_name(both: TestClient) -> None:
    for body in ({"customer_id": "c001"}, {"customer_id": "c001", "explain": True}, {"customer_id": "missing"}, {}):
        one, named = both.post("/predict", json=body), both.post("/models/churn/predict", json=body)
        assert (one.status_code, _without_id(one)) == (named.status_code, _without_id(named))
    body = {"customer_ids": ["c001", "missing"]}
    assert both.post("/predict_batch", json=body).content == both.post("/models/churn/predict_batch", json=body).content


def _without_id(response: Any) -> dict[str, Any]:
    return {name: value for name, value in response.json().items() if name != "request_id"}


def test_spend_of_one_and_of_many_customers_equals_the_score_table(shop: TwoModels, both: TestClient) -> None:
    """The bits of a customer do not depend on the other customers of a request, or of a table."""
    expected = shop.expected_spend()
    batch = both.post("/models/spend/predict_batch", json={"customer_ids": CUSTOMERS}).json()
    assert {item["customer_id"]: item["expected_spend"] for item in batch["predictions"]} == expected
    assert (batch["model_version"], set(batch)) == ("1", {"model_version", "feature_service", "as_of", "predictions"})
    for customer in CUSTOMERS[:20]:
        body = _spend(both, customer).json()
        assert body["expected_spend"] == expected[customer]
    assert list(body) == [
        "customer_id",
        "expected_spend",
        "model_version",
        "feature_service",
        "feature_timestamp",
        "feature_age_seconds",
        "stale",
        "active",
    ]


def test_spend_request_has_no_fields_of_churn(both: TestClient) -> None:
    assert_error(_spend(both, explain=True), 422, "'explain' is not a field of this request")
    assert_error(_spend(both, fields=["expected_spend"]), 422, "'fields' is not a field of this request")
    assert_error(_spend(both, "missing"), 404, "is not in the feature store")


def test_path_of_an_unknown_model_names_the_models(both: TestClient) -> None:
    for path in ("/models/basket/predict", "/models/basket/predict_batch"):
        response = both.post(path, json={"customer_id": "c001"})
        assert_error(response, 404, "There is no such model: choose of churn, spend.")
        assert problem_kind(response) == "unknown_model"
    assert_error(both.post("/models/spend/train", json={}), 404, "This path does not exist")
    assert_error(both.get("/models/spend/predict"), 405)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(fields=FIELDS, customer=st.sampled_from([*CUSTOMERS[:5], "missing"]))
def test_selection_has_the_values_of_the_endpoints(both: TestClient, fields: list[str], customer: str) -> None:
    response = predict(both, customer, fields=fields)
    if customer == "missing":
        assert_error(response, 404, "is not in the feature store")
        return
    expected = _all_fields(both, customer)
    assert response.json() == {"customer_id": customer} | {name: expected[name] for name in fields} | {"problems": {}}


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(fields=FIELDS, customers=st.lists(st.sampled_from([*CUSTOMERS[:4], "missing"]), min_size=1, max_size=5))
def test_batch_selection_has_the_items_of_single_requests(
    both: TestClient, fields: list[str], customers: list[str]
) -> None:
    response = both.post("/predict_batch", json={"customer_ids": customers, "fields": fields})
    assert response.status_code == 200, response.text
    for customer, item in zip(customers, response.json()["predictions"], strict=True):
        assert item["customer_id"] == customer
        if customer == "missing":
            assert item["status"] == "unknown_customer"
            assert [item[name] for name in fields] == [None] * len(fields)
        else:
            expected = _all_fields(both, customer)
            assert item["status"] == "ok"
            assert {name: item[name] for name in fields} == {name: expected[name] for name in fields}
            assert item["problems"] == {}


def _all_fields(client: TestClient, customer: str) -> dict[str, Any]:
    churn = predict(client, customer, explain=True).json()
    spend = _spend(client, customer).json()
    return churn | {
        "reasons": [reason["text"] for reason in churn["explanation"]["reasons"]],
        "churn_version": churn["model_version"],
        "expected_spend": spend["expected_spend"],
        "spend_version": spend["model_version"],
        "value_at_risk": churn["churn_probability"] * spend["expected_spend"],
    }


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"fields": ["expected_basket"]}, "fields.0: choose of churn_probability"),
        ({"fields": []}, "fields"),
        ({"fields": "reasons"}, "fields"),
        ({"fields": [1]}, "fields.0"),
        ({"fields": ["reasons"], "explain": True}, "Send explain or fields"),
    ],
)
def test_invalid_selection_is_one_error(both: TestClient, more: dict[str, Any], text: str) -> None:
    assert_error(predict(both, **more), 422, text)
    assert_error(both.post("/predict_batch", json={"customer_ids": ["c001"], **more}), 422, text)


def test_null_selection_is_none(both: TestClient) -> None:
    assert predict(both, fields=None).content == predict(both).content


def test_features_are_read_once_for_both_models(both: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.features.version_store import VersionStore

    reads: list[int] = []
    start_read = VersionStore.start_read

    def count(store: VersionStore, definitions: Any, customer_ids: Any) -> Any:
        reads.append(len(customer_ids))
        return start_read(store, definitions, customer_ids)

    monkeypatch.setattr(VersionStore, "start_read", count)
    assert predict(both, fields=SCORE_TABLE).status_code == 200
    assert reads == [1]


def test_log_separates_the_models(shop: TwoModels, both: TestClient) -> None:
    body = predict(both, fields=SCORE_TABLE, as_of=None).json()
    assert _spend(both).status_code == 200

    def newest(model: str) -> Any:
        table = read_predictions(shop.data / "predictions", model=model)
        return table.sort_by("answered_at").to_pylist()[-1] if table.num_rows else {}

    wait_for(lambda: newest("spend").get("expected_spend") == body["expected_spend"], 10)
    spend, churn = newest("spend"), newest("churn")
    assert (spend["model"], spend["version"], spend["route"]) == ("spend", "1", "champion")
    assert (churn["model"], churn["version"], churn["route"]) == ("churn", "1", "champion")
    names = shop.contract.inputs
    assert [spend[name] for name in names] == [churn[name] for name in names]


def test_status_names_each_model(both: TestClient) -> None:
    found = {model["name"]: model for model in both.get("/models").json()["models"]}
    assert list(found) == ["churn", "spend"]
    assert {(model["kind"], model["ready"], model["champion"]) for model in found.values()} == {
        ("classification", True, "1"),
        ("regression", True, "1"),
    }
    assert both.get("/models/spend/readyz").json() == found["spend"]
    assert_error(both.get("/models/basket/readyz"), 404, "choose of churn, spend")
    assert_error(both.post("/models", json={}), 405)
