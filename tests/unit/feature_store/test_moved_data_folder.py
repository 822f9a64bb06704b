"""Snapshots of a data folder that was moved: they are read and built in its new place."""

import shutil
from pathlib import Path

from feature_repo.settings import Settings
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.historical_features import read_features_at
from holdfast.feature_store.snapshots import build_snapshots, read_customers
from tests.support.definition_versions import only_version
from tests.support.small_shop import AS_OF, KNOWN_AT, use_data_folder


def test_moved_data_folder_keeps_its_registered_version(open_shop: Settings, tmp_path: Path) -> None:
    version = only_version(open_shop.data)
    before = read_features_at(open_version(open_shop, version, KNOWN_AT), ["c001", "c002"], AS_OF)
    open_shop.data.rename(tmp_path / "moved")
    with use_data_folder(tmp_path / "moved") as settings:
        store = open_version(settings, version, KNOWN_AT)
        assert not any(snapshot.built for snapshot in build_snapshots(settings, store, AS_OF, KNOWN_AT))
        assert read_features_at(store, ["c001", "c002"], AS_OF) == before
        shutil.rmtree(settings.snapshots)
        again = build_snapshots(settings, store, AS_OF, KNOWN_AT)
        assert all(snapshot.built and snapshot.path.is_relative_to(settings.snapshots) for snapshot in again)
        assert read_features_at(store, read_customers(again[0])[:2], AS_OF).keys() == before.keys()
    assert not open_shop.data.exists()
