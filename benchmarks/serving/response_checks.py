"""What a right answer of each contender looks like. The checks raise AssertionError, or what a wrong shape raises."""

from collections.abc import Mapping
from typing import Any

from benchmarks.serving.fixture import Scene

TOLERANCE = 1e-9


def same_probabilities(scene: Scene, answers: list[Any]) -> None:
    """The probability of each customer is that of scikit-learn on the offline features."""
    _same(scene, {answer["customer_id"]: answer["churn_probability"] for answer in answers})


def same_batches(scene: Scene, answers: list[Any]) -> None:
    """As above, of whole batches; everybody in them gets a score."""
    items = [item for answer in answers for item in answer["predictions"]]
    assert {item["status"] for item in items} == {"ok"}
    _same(scene, {item["customer_id"]: item["churn_probability"] for item in items})


def same_schema(scene: Scene, answers: list[Any]) -> None:
    """The no-op answers in the words of the service."""
    from services.schemas import Prediction

    assert all(set(answer) == set(Prediction.model_fields) for answer in answers), "another schema"
    assert [answer["customer_id"] for answer in answers] == list(scene.expected), "other customers"


def all_features(scene: Scene, answers: list[Any]) -> None:
    """Every feature is there, of the customer who was asked for."""
    for customer, answer in zip(scene.expected, answers, strict=True):
        names, results = answer["metadata"]["feature_names"], answer["results"]
        found = {name: result["values"][0] for name, result in zip(names, results, strict=True)}
        assert found["customer_id"] == customer, "another customer"
        assert isinstance(found["days_since_last_purchase"], float), "no features"
        assert len(found) > 15, "too few features"


def same_model(scene: Scene, answers: list[Any]) -> None:
    """The model server's second column is the probability."""
    _same(scene, {c: answer["predictions"][0][1] for c, answer in zip(scene.expected, answers, strict=True)})


def _same(scene: Scene, probabilities: Mapping[str, float]) -> None:
    for customer, expected in scene.expected.items():
        difference = abs(probabilities[customer] - expected)
        assert difference <= TOLERANCE, f"{customer}: {probabilities[customer]} instead of {expected}"
