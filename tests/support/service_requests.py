"""Requests to the service and checks of its problem details."""

from typing import Any

from starlette.testclient import TestClient

from tests.support.service_fixtures import assert_error
from tests.support.waiting import wait_for

UNAVAILABLE = "The online store cannot be read now."


def predict(client: TestClient, customer: str = "c001", **more: Any) -> Any:
    """Request the prediction of one customer."""
    return client.post("/predict", json={"customer_id": customer, **more})


def predict_batch(client: TestClient, customers: list[str]) -> dict[str, dict[str, Any]]:
    """Request the predictions of many customers; returns the item of each."""
    response = client.post("/predict_batch", json={"customer_ids": customers})
    assert response.status_code == 200, response.text
    return {item["customer_id"]: item for item in response.json()["predictions"]}


def probabilities(client: TestClient, customers: list[str]) -> dict[str, float]:
    """Request the probabilities of many customers."""
    return {customer: item["churn_probability"] for customer, item in predict_batch(client, customers).items()}


def problem_kind(response: Any) -> str:
    """Return the kind of a problem."""
    return str(response.json()["type"]).removeprefix("urn:holdfast:problem:")


def assert_unavailable(response: Any) -> None:
    """Check the response of a service whose online store is down."""
    assert_error(response, 503, UNAVAILABLE)
    assert problem_kind(response) == "store_unavailable"
    assert int(response.headers["retry-after"]) >= 1


def wait_until_available(client: TestClient, within: float = 60) -> None:
    """Wait until the service predicts and is ready again, without a restart."""
    wait_for(
        lambda: predict(client).status_code == client.get("/readyz").status_code == 200,
        within,
        lambda: predict(client).text,
    )
