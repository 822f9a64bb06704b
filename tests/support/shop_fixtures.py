"""Fixtures of the small shop: ingested, materialized, and trained."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.training.settings import SearchSettings, TrainingSettings
from tests.support.small_shop import (
    AS_OF,
    KNOWN_AT,
    built_folder,
    copy_shop,
    fast_flows,
    register_definitions,
    use_data_folder,
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Settings]:
    """Use a copy of the shop with the three batches in this process."""
    with use_data_folder(copy_shop(tmp_path)) as settings:
        yield settings


@pytest.fixture
def open_shop(shop: Settings) -> Settings:
    """Use a copy of the shop with snapshots, registry and online store at ``AS_OF``."""
    shutil.copytree(built_folder(), shop.data, dirs_exist_ok=True)
    return shop


@pytest.fixture
def registry_shop(flows_in_process: None, tmp_path: Path) -> Iterator[tuple[Settings, Any]]:
    """Use a copy of the shop with an MLflow registry for synthetic versions: settings and MLflow client."""
    from tests.support.registered_versions import copy_base_shop

    with copy_base_shop(tmp_path) as shop:
        yield shop


@pytest.fixture
def client(registry_shop: tuple[Settings, Any]) -> Any:
    """Return the MLflow client of the shop with a registry."""
    return registry_shop[1]


@pytest.fixture
def flows_in_process(prefect_server: None) -> Iterator[None]:
    """Run Prefect flows in this process, without heartbeat."""
    with fast_flows():
        yield


@dataclass(frozen=True)
class Dataset:
    """Training set of the shop, and the settings of its data folder."""

    settings: Settings
    cutoffs: list[datetime]
    split: Any
    data: Any


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Build the read-only training set as known at ``KNOWN_AT``."""
    from holdfast.training.dataset import build_training_set, find_labeled_cutoffs
    from holdfast.training.time_split import split_by_time

    with use_data_folder(copy_shop(tmp_path_factory.mktemp("dataset"))) as settings:
        version = register_definitions()
        cutoffs = find_labeled_cutoffs(settings, AS_OF, KNOWN_AT, 30).used
        split = split_by_time(cutoffs, 90, 4, 5, 2)
        return Dataset(settings, cutoffs, split, build_training_set(settings, version, cutoffs, AS_OF, KNOWN_AT))


# Few trials and resamples: the tests check the training flow, not the performance of the model.
QUICK = TrainingSettings(search=SearchSettings(trials=2), resamples=50)


@dataclass(frozen=True)
class Trained:
    """Shop with features and one run of the training flow."""

    data: Path
    result: Any


@pytest.fixture(scope="session")
def trained(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train once on the shop; tests may add versions, but not change the trained version."""
    data = copy_shop(tmp_path_factory.mktemp("trained"))
    with use_data_folder(data), fast_flows():
        from flows.features import features
        from flows.train import train

        features(AS_OF, KNOWN_AT)
        return Trained(data, train(AS_OF, KNOWN_AT, QUICK))
