"""The small shop in three states: ingested, served from the online store, and trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.training.settings import SearchSettings, TrainingSettings
from tests.support.small_shop import AS_OF, KNOWN_AT, at_work_on, build_features, copy_shop, fast_flows


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Settings]:
    """This process at work on a shop of the test's own: three batches, nothing else."""
    with at_work_on(copy_shop(tmp_path)) as settings:
        yield settings


@pytest.fixture
def open_shop(shop: Settings) -> Settings:
    """The same with snapshots, registry and online store at ``AS_OF``."""
    build_features(shop)
    return shop


@pytest.fixture
def registry_shop(flows_here: None, tmp_path: Path) -> Iterator[tuple[Settings, Any]]:
    """This process at work on a shop whose registry is for planting versions: its settings and MLflow's client."""
    from tests.support.registered_versions import copy_base_shop

    with copy_base_shop(tmp_path) as shop:
        yield shop


@pytest.fixture
def client(registry_shop: tuple[Settings, Any]) -> Any:
    """MLflow's client of a shop with a registry."""
    return registry_shop[1]


@pytest.fixture
def flows_here(prefect_server: None) -> Iterator[None]:
    """Prefect flows run in this process, and quickly."""
    with fast_flows():
        yield


@dataclass(frozen=True)
class Dataset:
    """A training set of the shop, and the folder it came from."""

    settings: Settings
    cutoffs: list[datetime]
    split: Any
    data: Any


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The training set as known at ``KNOWN_AT``; read only."""
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.feast_registry import apply_definitions
    from holdfast.training.dataset import build_training_set, list_labeled_cutoffs
    from holdfast.training.time_split import split_by_time

    with at_work_on(copy_shop(tmp_path_factory.mktemp("dataset"))) as settings:
        apply_definitions(open_store())
        cutoffs = list_labeled_cutoffs(settings, AS_OF, KNOWN_AT, 30)
        split = split_by_time(cutoffs, 90, 4, 5, 2)
        return Dataset(settings, cutoffs, split, build_training_set(settings, cutoffs, AS_OF, KNOWN_AT))


# Few trials and resamples: the tests are about what training does, not about how good the model is.
QUICK = TrainingSettings(search=SearchSettings(trials=2), resamples=50)


@dataclass(frozen=True)
class Trained:
    """A shop on which features have been built and the training flow has run once."""

    data: Path
    result: Any


@pytest.fixture(scope="session")
def trained(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The shop after one training; tests may add versions, never change this one."""
    data = copy_shop(tmp_path_factory.mktemp("trained"))
    with at_work_on(data), fast_flows():
        from flows.features import features
        from flows.train import train

        features(AS_OF, KNOWN_AT)
        return Trained(data, train(AS_OF, KNOWN_AT, QUICK))
