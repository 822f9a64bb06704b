"""Faults of versions of the feature definitions: killed processes, lost files, a full disk, two processes at once."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.feast_stores.stored_functions import approve_sources
from holdfast.feature_store import definition_versions
from holdfast.feature_store.definition_versions import (
    ConcurrentApplyError,
    applied_version,
    list_versions,
    open_version,
    register_version,
)
from holdfast.feature_store.materialization import load_online_state, materialize
from holdfast.feature_store.missing_versions import MissingVersionError
from holdfast.feature_store.parity import check_parity
from holdfast.feature_store.snapshots import build_snapshots, read_customers
from holdfast.feature_store.version_retirement import retire_version
from tests.support.definition_changes import change_function, change_window
from tests.support.definition_versions import version_files
from tests.support.small_shop import AS_OF, KNOWN_AT, build_features, join_process, start_process

pytestmark = pytest.mark.long


def _count_mismatches(settings: Settings, version: str) -> int:
    snapshot = build_snapshots(settings, open_version(settings, version), AS_OF, KNOWN_AT)[0]
    materialize(settings, version, snapshot)
    online, offline = open_version(settings, version), open_version(settings, version, snapshot.known_at)
    return check_parity(online, offline, read_customers(snapshot), AS_OF).mismatches


def _read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _kill_at(module: str, name: str, call: int) -> None:
    """Kill this process at a call of a method."""
    import importlib

    path, _, owner = module.rpartition(".")
    target = getattr(importlib.import_module(path), owner)
    method, calls = getattr(target, name), iter(range(1, call + 1))

    def counted(*arguments: Any, **options: Any) -> Any:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments, **options)

    setattr(target, name, counted)


def _change_and_fill(module: str, name: str, call: int) -> None:
    store = open_store()
    change_window(store)
    _kill_at(module, name, call)
    settings = Settings.from_environment()
    version = register_version(open_store())
    materialize(settings, version, build_snapshots(settings, open_store(definitions=version), AS_OF, KNOWN_AT)[0])


_ONLINE = "holdfast.feast_stores.sqlite_online_store.DataFolderSqliteOnlineStore"
_REGISTRY = "holdfast.feast_stores.file_registry_store.FileRegistryStore"


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        (_ONLINE, "update", 1),
        (_REGISTRY, "update_registry_proto", 1),
        (_REGISTRY, "update_registry_proto", 2),
        (_ONLINE, "write_columns", 1),
        (_ONLINE, "write_columns", 2),
    ],
)
def test_registration_or_materialization_killed_leaves_the_first_and_next_run_completes(
    open_shop: Settings, module: str, name: str, call: int
) -> None:
    folder = version_files(open_shop.data)
    before = _read_files(folder)
    assert join_process(start_process(_change_and_fill, open_shop.data, module, name, call)) == -signal.SIGKILL
    assert _read_files(folder) == before
    for version in list_versions(open_shop):  # the scheduled run
        assert _count_mismatches(open_shop, version) == 0
    second = register_version(open_store())
    assert list_versions(open_shop) == sorted({folder.name, second})
    assert len(list_versions(open_shop)) == 2
    assert _count_mismatches(open_shop, second) == 0


def _retire(version: str, module: str, name: str, call: int) -> None:
    _kill_at(module, name, call)
    retire_version(Settings.from_environment(), version, "a mistake")


@pytest.mark.parametrize("name", ["rename", "rmdir"])
def test_retirement_killed_leaves_the_other_and_is_completed(open_shop: Settings, name: str) -> None:
    folder = version_files(open_shop.data)
    before = _read_files(folder)
    change_window(open_store())
    second = register_version(open_store())
    if name == "rename":
        assert join_process(start_process(_retire, open_shop.data, second, "pathlib.Path", name, 1)) == -signal.SIGKILL
        assert _count_mismatches(open_shop, second) == 0  # still a complete version
        retire_version(open_shop, second, "a mistake")
    else:
        assert join_process(start_process(_retire, open_shop.data, second, "shutil.os", name, 1)) == -signal.SIGKILL
    assert list_versions(open_shop) == [folder.name]
    assert _read_files(folder) == before
    with pytest.raises(MissingVersionError, match=r"was retired at .*a mistake"):
        open_version(open_shop, second)
    assert register_version(open_store()) == second  # whatever the killed retirement left
    assert _count_mismatches(open_shop, second) == 0


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: os.truncate(path, 0), lambda path: os.truncate(path, 999)]
)
class TestDamagedFiles:
    def test_registry_file_of_one_version_stops_only_that_version(
        self, open_shop: Settings, damage: Callable[[Path], None]
    ) -> None:
        first = version_files(open_shop.data).name
        change_window(open_store())
        second = register_version(open_store())
        assert _count_mismatches(open_shop, second) == 0
        damage(open_shop.feast / "versions" / second / "registry.db")
        assert list_versions(open_shop) == sorted([first, second])
        assert _count_mismatches(open_shop, first) == 0
        with pytest.raises(MissingVersionError, match=r"missing or damaged.*python -m flows\.features"):
            open_version(open_shop, second)
        assert register_version(open_store()) == second
        assert _count_mismatches(open_shop, second) == 0

    def test_version_with_a_damaged_registry_can_be_retired(
        self, open_shop: Settings, damage: Callable[[Path], None]
    ) -> None:
        version = version_files(open_shop.data).name
        damage(open_shop.feast / "versions" / version / "registry.db")
        retire_version(open_shop, version, "its registry was lost")
        assert list_versions(open_shop) == []

    def test_online_file_is_written_again(self, open_shop: Settings, damage: Callable[[Path], None]) -> None:
        version = version_files(open_shop.data).name
        damage(open_shop.feast / "versions" / version / "online_store.db")
        assert _count_mismatches(open_shop, version) == 0


def test_full_disk_at_the_registry_of_a_version_registers_nothing(
    open_shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = version_files(open_shop.data)
    before = _read_files(folder)
    change_window(open_store())
    version = applied_version(open_store())

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("holdfast.core.atomic_files.os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            register_version(open_store())
    assert list_versions(open_shop) == [folder.name]
    assert _read_files(folder) == before
    assert register_version(open_store()) == version
    assert _count_mismatches(open_shop, version) == 0


def test_other_definitions_applied_during_a_registration_raise_and_register_nothing(
    open_shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = version_files(open_shop.data).name
    change_window(open_store())
    collect = definition_versions._copy_definitions

    def interrupted(*stores: Any) -> Any:
        change_function(open_store())
        return collect(*stores)

    monkeypatch.setattr(definition_versions, "_copy_definitions", interrupted)
    with pytest.raises(ConcurrentApplyError, match=r"applied while.*python -m flows\.features"):
        register_version(open_store())
    assert list_versions(open_shop) == [first]


def _apply_and_register(change: Callable[[Any], None]) -> None:
    from holdfast.feature_store.materialization import features_lock

    with features_lock(Settings.from_environment()):
        change(open_store())
        store = open_store()
        views = store.list_on_demand_feature_views()  # a checkout has all the functions that it applies
        approve_sources(view.feature_transformation.udf_string for view in views if view.feature_transformation)
        register_version(store)


def test_two_processes_with_different_definitions_register_both(open_shop: Settings) -> None:
    first = version_files(open_shop.data).name
    children = [
        start_process(_apply_and_register, open_shop.data, change) for change in (change_window, change_function)
    ]
    assert [join_process(child) for child in children] == [0, 0]
    versions = list_versions(open_shop)
    assert first in versions and len(versions) == 3
    for version in versions:
        assert applied_version(open_version(open_shop, version)) == version
        assert _count_mismatches(open_shop, version) == 0


def test_older_definitions_applied_between_two_runs_change_no_version(open_shop: Settings) -> None:
    change_window(open_store())
    second = register_version(open_store())
    assert _count_mismatches(open_shop, second) == 0
    before = {version: _read_files(open_shop.feast / "versions" / version) for version in list_versions(open_shop)}
    first = build_features(open_shop)  # of the unchanged checkout
    assert first.as_of == AS_OF
    assert {version: _read_files(open_shop.feast / "versions" / version) for version in before} == before
    state = load_online_state(open_shop, second)
    assert state is not None and state.as_of == AS_OF


def test_moved_data_folder_continues(open_shop: Settings, tmp_path: Path) -> None:
    from tests.support.small_shop import use_data_folder

    change_window(open_store())
    second = register_version(open_store())
    versions = list_versions(open_shop)
    moved = open_shop.data.rename(tmp_path / "moved")
    with use_data_folder(moved) as settings:
        assert list_versions(settings) == versions
        assert applied_version(open_store()) == second
        assert [_count_mismatches(settings, version) for version in versions] == [0, 0]
