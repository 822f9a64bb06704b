"""Predictions equal the model's scores on the features that training reads."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from feature_repo.labels import churn_labels
from services.models.loader import load_saved_model
from tests.support.definition_versions import only_version
from tests.support.edge_case_customers import add_edge_case_customers
from tests.support.service_fixtures import assert_error, serve_in_process, service_environment
from tests.support.service_state import AS_OF, CUSTOMERS, ONE_PURCHASE, THRESHOLD, offline_matrix, transactions

MICROSECOND = timedelta(microseconds=1)
SOFT, HARD = timedelta(hours=48), timedelta(days=30)


@pytest.fixture(scope="module")
def edge_case_data(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with customers whose features are incomplete or old."""
    return add_edge_case_customers(service_data, tmp_path_factory.mktemp("edge_case_client") / "data")


@pytest.fixture(scope="module")
def edge_case_client(edge_case_data: Path) -> Iterator[TestClient]:
    """A client of the service on ``edge_case_data``."""
    with serve_in_process(edge_case_data) as client:
        yield client


def _predict(client: TestClient, customer_id: str, as_of: datetime | str | None = None) -> dict:
    time = as_of.isoformat() if isinstance(as_of, datetime) else as_of
    response = client.post("/predict", json={"customer_id": customer_id} | ({"as_of": time} if time else {}))
    assert response.status_code == 200, response.text
    return response.json()


def test_prediction_has_documented_fields_in_order(client: TestClient) -> None:
    response = _predict(client, "c005", AS_OF + timedelta(hours=12))
    assert list(response) == [
        "customer_id",
        "churn_probability",
        "will_churn",
        "threshold",
        "model_version",
        "feature_service",
        "feature_timestamp",
        "feature_age_seconds",
        "stale",
        "active",
        "explanation",
    ]
    probability = response.pop("churn_probability")
    assert response == {
        "customer_id": "c005",
        "will_churn": probability >= THRESHOLD,
        "active": True,
        "threshold": THRESHOLD,
        "model_version": "1",
        "feature_service": "churn_v1",
        "feature_timestamp": "2024-03-01T00:00:00Z",
        "feature_age_seconds": 43200.0,
        "stale": False,
        "explanation": None,
    }


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=9, microseconds=1)])
def test_scores_equal_model_on_offline_features(client: TestClient, service_data: Path, later: timedelta) -> None:
    as_of = AS_OF + later
    with service_environment(service_data):
        model = load_saved_model(next((service_data / "bentoml/models/holdfast-churn").glob("v1-*")))
        matrix = offline_matrix(CUSTOMERS, as_of, only_version(service_data))
    expected = model.churn_probabilities(matrix)
    np.testing.assert_allclose(expected, model.estimator.predict_proba(matrix)[:, 1], rtol=0, atol=1e-12)
    body = {"customer_ids": CUSTOMERS, "as_of": as_of.isoformat()}
    predictions = client.post("/predict_batch", json=body).json()["predictions"]
    assert [item["churn_probability"] for item in predictions] == expected.tolist()
    assert len(set(expected)) > 100
    assert {item["will_churn"] for item in predictions} == {True, False}


def test_batch_retains_order_and_equals_single_predictions(client: TestClient) -> None:
    ids = ["c042", "c007", "no-such-id", "c042", ONE_PURCHASE, "c007"]
    batch = client.post("/predict_batch", json={"customer_ids": ids, "as_of": "2024-03-02"}).json()
    assert list(batch) == ["model_version", "feature_service", "threshold", "as_of", "predictions"]
    assert batch["as_of"] == "2024-03-02T00:00:00Z"
    assert [item["customer_id"] for item in batch["predictions"]] == ids
    for item in batch["predictions"]:
        if item["customer_id"] == "no-such-id":
            assert item.pop("detail") == "Customer 'no-such-id' is not in the feature store."
            assert item == {"customer_id": "no-such-id", "status": "unknown_customer"} | dict.fromkeys(
                [
                    "churn_probability",
                    "will_churn",
                    "model_version",
                    "active",
                    "feature_timestamp",
                    "feature_age_seconds",
                    "stale",
                    "explanation",
                ]
            )
            continue
        single = _predict(client, item["customer_id"], "2024-03-02")
        assert item.pop("status") == "ok"
        assert item.pop("detail") is None
        assert item == {name: single[name] for name in item}


def test_batch_of_1000_customers_succeeds(client: TestClient) -> None:
    ids = [CUSTOMERS[i % 300] for i in range(1000)]
    predictions = client.post("/predict_batch", json={"customer_ids": ids}).json()["predictions"]
    assert [item["customer_id"] for item in predictions] == ids
    assert {item["status"] for item in predictions} == {"ok"}
    for ids, why in ([["c001"] * 1001, "at most 1000 items"], [[], "at least 1 item"]):
        assert_error(client.post("/predict_batch", json={"customer_ids": ids}), 422, "customer_ids", why)


@pytest.mark.parametrize(
    ("as_of", "age"),
    [("2024-03-01T10:00:00", 36000.0), ("2024-03-01T12:00:00+02:00", 36000.0), ("2024-03-01T00:00:00.000001Z", 1e-6)],
)
def test_as_of_with_any_zone_is_converted_to_utc(client: TestClient, as_of: str, age: float) -> None:
    assert _predict(client, "c001", as_of)["feature_age_seconds"] == age


@pytest.mark.parametrize(
    ("age", "stale"), [(SOFT, False), (SOFT + MICROSECOND, True), (HARD, True), (timedelta(0), False)]
)
def test_features_beyond_soft_limit_are_stale(client: TestClient, age: timedelta, stale: bool) -> None:
    assert _predict(client, "c001", AS_OF + age)["stale"] is stale


def test_features_beyond_hard_limit_are_rejected(client: TestClient) -> None:
    request = {"customer_id": "c001", "as_of": (AS_OF + HARD + MICROSECOND).isoformat()}
    assert_error(
        client.post("/predict", json=request), 422, "'c001'", "30.00 days old", "limit is 30.00 days", "2024-03-01T00"
    )


def test_as_of_before_features_is_rejected(client: TestClient) -> None:
    request = {"customer_id": "c001", "as_of": (AS_OF - MICROSECOND).isoformat()}
    assert_error(client.post("/predict", json=request), 422, "2024-02-29T23:59:59.999999Z", "2024-03-01T00:00:00Z")
    item = client.post("/predict_batch", json={"customer_ids": ["c001"], "as_of": "2024-02-01"}).json()["predictions"]
    assert item[0]["status"] == "as_of_before_features"


def test_views_of_different_snapshots_are_updating(edge_case_client: TestClient) -> None:
    request = {"customer_id": "one-view-1-day-older"}
    for as_of in ({}, {"as_of": AS_OF.isoformat()}):
        response = edge_case_client.post("/predict", json=request | as_of)
        assert_error(response, 503, "features", "'one-view-1-day-older'", "are being updated; try again")
        assert response.headers["retry-after"] == "1"
    batch = edge_case_client.post("/predict_batch", json={"customer_ids": ["one-view-1-day-older", "c001"]}).json()[
        "predictions"
    ]
    assert [item["status"] for item in batch] == ["features_updating", "ok"]
    assert batch[0]["churn_probability"] is None


def test_active_equals_label_definition(client: TestClient) -> None:
    purchases = pd.DataFrame(transactions())
    cutoffs = ibis.memtable(pa.table({"cutoff": pa.array([AS_OF], pa.timestamp("us", "UTC"))}))
    labelled = churn_labels(ibis.memtable(purchases), cutoffs, horizon_days=90, activity_days=180).to_pandas()
    body = {"customer_ids": CUSTOMERS, "as_of": AS_OF.isoformat()}
    predictions = client.post("/predict_batch", json=body).json()["predictions"]
    assert {item["customer_id"] for item in predictions if item["active"]} == set(labelled.customer_id)
    assert {item["active"] for item in predictions} == {True, False}
    assert {item["status"] for item in predictions} == {"ok"}


def test_active_window_includes_its_start_and_moves_with_as_of(edge_case_client: TestClient) -> None:
    assert _predict(edge_case_client, "bought-180-days-ago", AS_OF)["active"] is True
    assert _predict(edge_case_client, "bought-longer-ago", AS_OF)["active"] is False
    assert _predict(edge_case_client, "bought-180-days-ago", AS_OF + MICROSECOND)["active"] is False


@pytest.mark.parametrize(
    ("customer", "feature", "why"),
    [
        ("null-total", "customer_purchase_history:total_amount", "null"),
        ("history-only", "customer_recent_activity:purchase_days_30d", "not in the feature store"),
        ("no-rhythm", "customer_purchase_rhythm:mean_gap_days", "not in the feature store"),
    ],
)
def test_missing_feature_is_rejected_and_not_imputed(
    edge_case_client: TestClient, customer: str, feature: str, why: str
) -> None:
    assert_error(edge_case_client.post("/predict", json={"customer_id": customer}), 503, feature, why, repr(customer))
    batch = edge_case_client.post("/predict_batch", json={"customer_ids": [customer, "c001"]}).json()["predictions"]
    assert [item["status"] for item in batch] == ["missing_feature", "ok"]


def test_permitted_null_is_scored(client: TestClient) -> None:
    assert 0 <= _predict(client, ONE_PURCHASE)["churn_probability"] <= 1


def test_rejections_not_caused_by_caller_are_logged_once(
    edge_case_data: Path, service_log: pytest.LogCaptureFixture
) -> None:
    with serve_in_process(edge_case_data) as client:
        for _ in range(3):
            ids = ["31-days-old", "null-total", "no-rhythm", "one-view-1-day-older"]
            client.post("/predict_batch", json={"customer_ids": ids * 2})
            client.post("/predict", json={"customer_id": "c001", "as_of": "2025-01-01"})
            client.post("/predict", json={"customer_id": "no-such-id"})
    messages = [record.getMessage() for record in service_log.records if "flows.features" in record.getMessage()]
    assert len(messages) == 4
    for cause in [
        "2024-01-30T00:00:00Z are older than the limit",
        "is null",
        "is not in the feature store",
        "was interrupted",
    ]:
        assert any(cause in message and "python -m flows.features" in message for message in messages)
    assert "2025" not in service_log.text
    assert "no-such-id" not in service_log.text


def test_default_as_of_is_the_clock(service_data: Path) -> None:
    request = {"customer_id": "c001"}
    with serve_in_process(service_data, HOLDFAST_CLOCK="wall") as client:
        assert_error(client.post("/predict", json=request), 503, "days old")
    with serve_in_process(service_data, HOLDFAST_CLOCK="2024-02-29T23:00:00") as client:
        assert_error(client.post("/predict", json=request), 503, "earlier than the stored features")


def test_churn_service_can_be_called_directly(service_data: Path) -> None:
    from services.churn import ChurnService
    from services.schemas import Prediction

    with service_environment(service_data):
        service = ChurnService()
        prediction = asyncio.run(service.predict(customer_id="c005", as_of=AS_OF.astimezone(UTC)))
        assert isinstance(prediction, Prediction)
        assert service.__is_ready__()
        service.close()
