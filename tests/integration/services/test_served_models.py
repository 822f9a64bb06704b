"""Whom a canary answers for: always the same customers, evenly spread, and more of them as the share grows."""

from typing import Any

import numpy as np
import pytest

from holdfast.models.loaded_model import LoadedModel
from services.models.loader import load_model
from services.models.served_models import ServedModels
from tests.support.registry import build_contract, fit_classifier, serialize_model

IDS = [f"customer-{number}" for number in range(20_000)]


def _model(version: str) -> LoadedModel:
    content = serialize_model(fitted := fit_classifier())
    return load_model(build_contract(fitted, content, model_version=version), content)


@pytest.fixture(scope="module")
def champion() -> LoadedModel:
    return _model("1")


@pytest.fixture(scope="module")
def challenger() -> LoadedModel:
    return _model("2")


def _of(models: ServedModels) -> set[str]:
    return {customer for customer in IDS if models.routes_to_canary(customer)}


@pytest.mark.parametrize("share", [0.001, 0.05, 0.25, 0.5])
def test_the_share_is_that_of_the_customers(champion: LoadedModel, challenger: LoadedModel, share: float) -> None:
    found = len(_of(ServedModels(champion, challenger, "canary", share)))
    assert abs(found - share * len(IDS)) < 5 * np.sqrt(share * (1 - share) * len(IDS))


def test_places_are_uniform(champion: LoadedModel, challenger: LoadedModel) -> None:
    """Chi-square over twenty equal parts; 43.8 is beyond 0.999 of its distribution."""
    edges = [len(_of(ServedModels(champion, challenger, "canary", share))) for share in np.linspace(0.05, 1, 20)]
    parts = np.diff([0, *edges])
    assert ((parts - len(IDS) / 20) ** 2 / (len(IDS) / 20)).sum() < 43.8


def test_a_growing_share_keeps_all_who_were_in(champion: LoadedModel, challenger: LoadedModel) -> None:
    small, large = (_of(ServedModels(champion, challenger, "canary", share)) for share in (0.05, 0.25))
    assert small < large


def test_another_challenger_is_tried_on_others(champion: LoadedModel, challenger: LoadedModel) -> None:
    second, third = (_of(ServedModels(champion, model, "canary", 0.25)) for model in (challenger, _model("3")))
    assert len(second & third) / len(IDS) == pytest.approx(0.0625, abs=0.01)


def test_another_champion_or_process_changes_nothing(champion: LoadedModel, challenger: LoadedModel) -> None:
    here = _of(ServedModels(champion, challenger, "canary", 0.05))
    assert _of(ServedModels(_model("9"), challenger, "canary", 0.05)) == here
    first = ["customer-10", "customer-14", "customer-15", "customer-40", "customer-49", "customer-67"]
    assert [customer for customer in IDS if customer in here][:6] == first  # in whatever process, for ever


def test_nobody_gets_a_challenger_that_is_no_canary(champion: LoadedModel, challenger: LoadedModel) -> None:
    assert not _of(ServedModels(champion))
    assert not _of(ServedModels(champion, challenger, "shadow"))


def test_any_text_is_a_customer(champion: LoadedModel, challenger: LoadedModel) -> None:
    models = ServedModels(champion, challenger, "canary", 0.5)
    for customer in ("", "é", "\ud800", "x" * 100_000):
        assert models.routes_to_canary(customer) is models.routes_to_canary(customer)


@pytest.mark.parametrize(
    ("with_challenger", "mode", "share"),
    [(False, "shadow", 0.0), (True, None, 0.0), (True, "canary", 0.0), (True, "shadow", 0.1), (False, None, 0.1)],
)
def test_half_a_lineup_is_none(
    champion: LoadedModel, challenger: LoadedModel, with_challenger: bool, mode: Any, share: float
) -> None:
    with pytest.raises(ValueError, match="inconsistent models"):
        ServedModels(champion, challenger if with_challenger else None, mode, share)
