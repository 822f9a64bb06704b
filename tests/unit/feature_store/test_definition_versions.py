"""Versions of the feature definitions."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from holdfast.core.parquet_files import read_parquet_file
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import applied_version, list_versions, open_version, register_version
from holdfast.feature_store.feast_registry import NotAppliedError, apply_definitions, find_applied_version
from holdfast.feature_store.materialization import load_online_state, materialize
from holdfast.feature_store.missing_versions import MissingVersionError
from holdfast.feature_store.parity import check_parity
from holdfast.feature_store.snapshots import build_snapshots, read_customers
from holdfast.feature_store.version_retirement import retire_version
from tests.support.definition_changes import change_function, change_limit, change_window, drop_feature
from tests.support.definition_versions import version_files
from tests.support.main_job import environment_of
from tests.support.small_shop import AS_OF, KNOWN_AT, build_features, registered_store

CHANGES = [change_limit, drop_feature, change_function, change_window]


def _change(change: Any) -> None:
    """Change the applied definitions, as `feast apply` of another checkout does."""
    store = open_store()
    change(store)
    store.registry.commit()


def _count_mismatches(settings: Settings, version: str) -> int:
    snapshot = build_snapshots(settings, open_version(settings, version), AS_OF, KNOWN_AT)[0]
    materialize(settings, version, snapshot)
    online, offline = open_version(settings, version), open_version(settings, version, snapshot.known_at)
    return check_parity(online, offline, read_customers(snapshot), AS_OF).mismatches


@pytest.mark.parametrize("change", CHANGES)
def test_register_version_of_changed_definitions_leaves_the_first_unchanged(open_shop: Settings, change: Any) -> None:
    folder = version_files(open_shop.data)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    _change(change)
    second = register_version(open_store())
    assert second != folder.name
    assert list_versions(open_shop) == sorted([folder.name, second])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert load_online_state(open_shop, second) is None
    for version in (folder.name, second):
        assert applied_version(open_version(open_shop, version)) == version
        assert _count_mismatches(open_shop, version) == 0


def test_register_version_changed_window_computes_both_windows(open_shop: Settings) -> None:
    first = version_files(open_shop.data).name
    _change(change_window)
    second = register_version(open_store())

    def amounts(version: str) -> list[float]:
        views = build_snapshots(open_shop, open_version(open_shop, version), AS_OF, KNOWN_AT)
        (path,) = (item.path for item in views if item.view == "customer_recent_activity")
        return list(read_parquet_file(path)["amount_30d"].to_pylist())

    assert amounts(first) != amounts(second)
    assert len(amounts(first)) == len(amounts(second)) > 100


def test_register_version_twice_writes_nothing(open_shop: Settings) -> None:
    folder = version_files(open_shop.data)
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()}
    assert register_version(open_store()) == folder.name
    assert {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()} == before


def test_register_version_changed_soft_limit_reaches_the_version_and_keeps_its_values(open_shop: Settings) -> None:
    store = open_store()
    view = store.get_feature_view("customer_recent_activity")
    view.tags = view.tags | {"soft_limit_hours": "12"}
    store.registry.apply_feature_view(view, store.project)
    version = register_version(open_store())
    assert version == version_files(open_shop.data).name
    changed = open_version(open_shop, version).get_feature_view("customer_recent_activity")
    assert changed.tags["soft_limit_hours"] == "12"
    assert [end for _, end in changed.materialization_intervals] == [AS_OF]


def test_register_version_contains_only_what_the_service_reads(open_shop: Settings) -> None:
    store = open_version(open_shop, version_files(open_shop.data).name)
    assert store.project == f"holdfast_{version_files(open_shop.data).name}"
    assert [service.name for service in store.list_feature_services()] == [FEATURE_SERVICE]
    read = {projection.name for projection in store.get_feature_service(FEATURE_SERVICE).feature_view_projections}
    views = {view.name for view in (*store.list_feature_views(), *store.list_on_demand_feature_views())}
    assert read <= views


_WITHOUT_CODE = """
import sys
import feature_repo.transformations
feature_repo.transformations.BUILDERS.clear()
from feature_repo.settings import Settings
from holdfast.feature_store.definition_versions import open_version
from holdfast.feature_store.snapshots import build_snapshots
from tests.support.small_shop import AS_OF, KNOWN_AT
settings = Settings.from_environment()
snapshots = build_snapshots(settings, open_version(settings, sys.argv[1]), AS_OF, KNOWN_AT)
print([item.path.read_bytes().hex() for item in snapshots])
"""


def test_build_snapshots_of_a_version_needs_no_transformation_in_the_code(open_shop: Settings) -> None:
    version = version_files(open_shop.data).name
    snapshots = build_snapshots(open_shop, open_version(open_shop, version), AS_OF, KNOWN_AT)
    expected = [item.path.read_bytes().hex() for item in snapshots]
    for item in snapshots:
        item.path.unlink()
    command = [sys.executable, "-c", _WITHOUT_CODE, version]
    printed = subprocess.run(command, env=environment_of(open_shop.data), capture_output=True, text=True, check=True)
    assert json.loads(printed.stdout.strip().splitlines()[-1].replace("'", '"')) == expected


def test_feast_teardown_of_the_project_leaves_the_version(open_shop: Settings) -> None:
    version = version_files(open_shop.data).name
    open_store().teardown()
    assert list_versions(open_shop) == [version]
    assert _count_mismatches(open_shop, version) == 0


class TestFindAppliedVersion:
    def test_empty_registry_is_filled(self, shop: Settings) -> None:
        version = find_applied_version(shop, open_store())
        assert list_versions(shop) == [version] == [applied_version(open_store())]

    def test_other_definitions_raise_and_name_the_versions(self, open_shop: Settings) -> None:
        _change(drop_feature)
        with pytest.raises(NotAppliedError, match="holds other definitions") as error:
            find_applied_version(open_shop, open_store())
        assert version_files(open_shop.data).name in str(error.value)

    def test_applied_version_without_features_raises(self, open_shop: Settings) -> None:
        _change(drop_feature)
        register_version(open_store())
        retire_version(open_shop, next(iter({*list_versions(open_shop)} - {applied_version(open_store())})), "test")
        apply_definitions(open_store())
        with pytest.raises(NotAppliedError, match=r"have no features yet.*python -m flows.features"):
            find_applied_version(open_shop, open_store())


class TestRetire:
    def test_retire_version_deletes_its_files_and_records_the_reason(self, open_shop: Settings) -> None:
        folder = version_files(open_shop.data)
        retire_version(open_shop, folder.name, "wrong sign of returns")
        assert list_versions(open_shop) == []
        assert not folder.exists()
        (record,) = map(json.loads, (folder.parent / "retired.jsonl").read_text().splitlines())
        assert (record["version"], record["reason"]) == (folder.name, "wrong sign of returns")
        with pytest.raises(MissingVersionError, match=folder.name):
            open_version(open_shop, folder.name)

    def test_retire_version_unknown_raises_and_changes_nothing(self, open_shop: Settings) -> None:
        with pytest.raises(MissingVersionError, match="abcdef123456"):
            retire_version(open_shop, "abcdef123456", "typing error")
        assert not (version_files(open_shop.data).parent / "retired.jsonl").exists()

    def test_retire_version_after_a_killed_retirement_completes(
        self, open_shop: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = version_files(open_shop.data)

        def killed(path: Path, **options: Any) -> None:
            if not options:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("holdfast.feature_store.version_retirement.shutil.rmtree", killed)
            with pytest.raises(KeyboardInterrupt):
                retire_version(open_shop, folder.name, "first")
        assert list_versions(open_shop) == []
        build_features(open_shop)
        retire_version(open_shop, folder.name, "second")
        assert sorted(path.name for path in folder.parent.iterdir()) == ["retired.jsonl"]

    def test_register_version_again_after_retirement_serves_again(self, open_shop: Settings) -> None:
        version = version_files(open_shop.data).name
        retire_version(open_shop, version, "test")
        assert registered_store().project == f"holdfast_{version}"
        assert _count_mismatches(open_shop, version) == 0
