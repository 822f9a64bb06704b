"""Questions to the service, and what its refusals look like, for tests of faults."""

import time
from typing import Any

from starlette.testclient import TestClient

from tests.support.service_fixtures import assert_error

UNAVAILABLE = "The online store cannot be read now."


def predict(client: TestClient, customer: str = "c001", **more: Any) -> Any:
    """For one customer's prediction."""
    return client.post("/predict", json={"customer_id": customer, **more})


def predict_batch(client: TestClient, customers: list[str]) -> dict[str, dict[str, Any]]:
    """For many customers' predictions in one request: each one's item."""
    answer = client.post("/predict_batch", json={"customer_ids": customers})
    assert answer.status_code == 200, answer.text
    return {item["customer_id"]: item for item in answer.json()["predictions"]}


def probabilities(client: TestClient, customers: list[str]) -> dict[str, float]:
    """As above, the probabilities alone."""
    return {customer: item["churn_probability"] for customer, item in predict_batch(client, customers).items()}


def problem_kind(response: Any) -> str:
    """The kind of a problem."""
    return str(response.json()["type"]).removeprefix("urn:holdfast:problem:")


def assert_unavailable(response: Any) -> None:
    """The store is down; the caller may try again."""
    assert_error(response, 503, UNAVAILABLE)
    assert problem_kind(response) == "store_unavailable"
    assert int(response.headers["retry-after"]) >= 1


def wait_until_available(client: TestClient, within: float = 5) -> None:
    """By itself, without a restart."""
    give_up = time.monotonic() + within
    while (answer := predict(client)).status_code != 200 or client.get("/readyz").status_code != 200:
        assert time.monotonic() < give_up, answer.text
        time.sleep(0.05)
