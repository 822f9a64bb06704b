"""Canary routing: the same customers at all times, uniformly chosen, and retained as the share grows."""

from typing import Any

import numpy as np
import pytest

from holdfast.models.loaded_model import LoadedModel
from services.models.loader import load_served_model
from services.models.served_models import ServedModels
from tests.support.registry import build_contract, fit_classifier, serialize_model

IDS = [f"customer-{number}" for number in range(20_000)]


def _model(version: str) -> LoadedModel:
    content = serialize_model(fitted := fit_classifier())
    return load_served_model(build_contract(fitted, content, model_version=version), content)


@pytest.fixture(scope="module")
def champion() -> LoadedModel:
    return _model("1")


@pytest.fixture(scope="module")
def challenger() -> LoadedModel:
    return _model("2")


def _of(models: ServedModels) -> set[str]:
    return {customer for customer in IDS if models.routes_to_canary(customer)}


@pytest.mark.parametrize("share", [0.001, 0.05, 0.25, 0.5])
def test_canary_share_equals_share_of_customers(champion: LoadedModel, challenger: LoadedModel, share: float) -> None:
    found = len(_of(ServedModels(champion, challenger, "canary", share)))
    assert abs(found - share * len(IDS)) < 5 * np.sqrt(share * (1 - share) * len(IDS))


def test_canary_buckets_are_uniform(champion: LoadedModel, challenger: LoadedModel) -> None:
    """Chi-square over twenty equal parts; 43.8 is beyond 0.999 of its distribution."""
    edges = [len(_of(ServedModels(champion, challenger, "canary", share))) for share in np.linspace(0.05, 1, 20)]
    parts = np.diff([0, *edges])
    assert ((parts - len(IDS) / 20) ** 2 / (len(IDS) / 20)).sum() < 43.8


def test_canary_growing_share_retains_customers(champion: LoadedModel, challenger: LoadedModel) -> None:
    small, large = (_of(ServedModels(champion, challenger, "canary", share)) for share in (0.05, 0.25))
    assert small < large


def test_canary_other_challenger_gets_other_customers(champion: LoadedModel, challenger: LoadedModel) -> None:
    second, third = (_of(ServedModels(champion, model, "canary", 0.25)) for model in (challenger, _model("3")))
    assert len(second & third) / len(IDS) == pytest.approx(0.0625, abs=0.01)


def test_canary_routing_is_independent_of_champion_and_process(champion: LoadedModel, challenger: LoadedModel) -> None:
    here = _of(ServedModels(champion, challenger, "canary", 0.05))
    assert _of(ServedModels(_model("9"), challenger, "canary", 0.05)) == here
    first = ["customer-10", "customer-14", "customer-15", "customer-40", "customer-49", "customer-67"]
    assert [customer for customer in IDS if customer in here][:6] == first  # in any process


def test_canary_routing_without_canary_is_empty(champion: LoadedModel, challenger: LoadedModel) -> None:
    assert not _of(ServedModels(champion))
    assert not _of(ServedModels(champion, challenger, "shadow"))


def test_canary_routing_accepts_any_text(champion: LoadedModel, challenger: LoadedModel) -> None:
    models = ServedModels(champion, challenger, "canary", 0.5)
    for customer in ("", "é", "\ud800", "x" * 100_000):
        assert models.routes_to_canary(customer) is models.routes_to_canary(customer)


@pytest.mark.parametrize(
    ("with_challenger", "mode", "share"),
    [(False, "shadow", 0.0), (True, None, 0.0), (True, "canary", 0.0), (True, "shadow", 0.1), (False, None, 0.1)],
)
def test_served_models_inconsistent_raise(
    champion: LoadedModel, challenger: LoadedModel, with_challenger: bool, mode: Any, share: float
) -> None:
    with pytest.raises(ValueError, match="inconsistent models"):
        ServedModels(champion, challenger if with_challenger else None, mode, share)
