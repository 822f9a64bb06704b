"""Tests of the feature client: one store per version, and no effect of one version on another."""

import threading
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from services.errors import NotReadyError
from services.features.feature_client import FeatureClient
from tests.support.registry import DEFINITIONS, build_contract, fit_classifier

OTHER = DEFINITIONS | {"on_demand": "other"}


@pytest.fixture
def features(tmp_path: Path) -> FeatureClient:
    return FeatureClient(Settings(data=tmp_path), 1.0)


def test_version_has_one_store_until_it_is_dropped(features: FeatureClient) -> None:
    one, two = features.version("one"), features.version("two")
    assert features.version("one") is one is not two
    features.retain("holdfast-churn", {"two"})
    assert list(features.stores()) == ["two"]
    assert features.version("two") is two
    assert features.version("one") is not one


def test_version_has_one_store_for_all_threads(features: FeatureClient) -> None:
    found: list[object] = []
    start = threading.Barrier(8)

    def find() -> None:
        start.wait()
        found.append(features.version("one"))

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_version_that_hangs_does_not_block_another(features: FeatureClient) -> None:
    """A slow registry of the challenger's version must not delay the champion."""
    hanging = features.version("hanging").registry
    with hanging._lock:
        done: list[str] = []

        def ask() -> None:
            with pytest.raises(NotReadyError):
                features.require(build_contract(fit_classifier(), b"", fingerprint=OTHER))
            done.append("asked")

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(30)
        assert done == ["asked"]


def test_require_version_without_files_names_version_and_remedy(features: FeatureClient) -> None:
    contract = build_contract(fit_classifier(), b"")
    with pytest.raises(NotReadyError) as error:
        features.require(contract)
    assert error.value.message == (
        f"The registry of version {contract.definitions} of the feature definitions does not exist."
    )
    for fragment in ("python -m flows.features", "retired", f"versions/{contract.definitions}/registry.db"):
        assert fragment in error.value.remedy
