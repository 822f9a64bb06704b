"""Checks of the responses of each contender.

A check raises AssertionError, or the error that an unexpected structure causes.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.serving.fixture import BenchmarkFixture

TOLERANCE = 1e-9


def check_predictions(fixture: BenchmarkFixture, responses: list[Any]) -> None:
    """Check that each probability is that of scikit-learn on the offline features.

    Args:
        fixture: Shared fixture with the expected probabilities.
        responses: Responses in the order of the expected customers.
    """
    _compare(fixture, {response["customer_id"]: response["churn_probability"] for response in responses})


def check_batches(fixture: BenchmarkFixture, responses: list[Any]) -> None:
    """Check batches: each customer has a score, and the probabilities are the expected ones.

    Args:
        fixture: Shared fixture with the expected probabilities.
        responses: Responses to batch requests.
    """
    items = [item for response in responses for item in response["predictions"]]
    assert {item["status"] for item in items} == {"ok"}
    _compare(fixture, {item["customer_id"]: item["churn_probability"] for item in items})


def check_schema(fixture: BenchmarkFixture, responses: list[Any]) -> None:
    """Check that the no-op has the schema of the service.

    Args:
        fixture: Shared fixture with the expected customers.
        responses: Responses in the order of the expected customers.
    """
    from services.schemas import Prediction

    assert all(set(response) == set(Prediction.model_fields) for response in responses), "another schema"
    assert [response["customer_id"] for response in responses] == list(fixture.expected), "other customers"


def check_features(fixture: BenchmarkFixture, responses: list[Any]) -> None:
    """Check that each response of Feast contains all features of the requested customer.

    Args:
        fixture: Shared fixture with the expected customers.
        responses: Responses in the order of the expected customers.
    """
    for customer, response in zip(fixture.expected, responses, strict=True):
        names, results = response["metadata"]["feature_names"], response["results"]
        found = {name: result["values"][0] for name, result in zip(names, results, strict=True)}
        assert found["customer_id"] == customer, "another customer"
        assert isinstance(found["days_since_last_purchase"], float), "no features"
        assert len(found) > 15, "too few features"


def check_model_server(fixture: BenchmarkFixture, responses: list[Any]) -> None:
    """Check that the second column of MLflow's model server is the expected probability.

    Args:
        fixture: Shared fixture with the expected probabilities.
        responses: Responses in the order of the expected customers.
    """
    _compare(
        fixture, {c: response["predictions"][0][1] for c, response in zip(fixture.expected, responses, strict=True)}
    )


def _compare(fixture: BenchmarkFixture, probabilities: Mapping[str, float]) -> None:
    for customer, expected in fixture.expected.items():
        difference = abs(probabilities[customer] - expected)
        assert difference <= TOLERANCE, f"{customer}: {probabilities[customer]} instead of {expected}"
