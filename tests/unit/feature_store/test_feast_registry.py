"""Application of feature definitions to Feast's registry."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.feast_registry import apply_definitions, collect_definitions
from holdfast.feature_store.parity import check_parity
from holdfast.feature_store.snapshots import read_customers
from tests.support.small_shop import AS_OF, KNOWN_AT, build_features, registered_store, use_data_folder


def _stat(settings: Settings) -> tuple[int, int, bytes]:
    path = settings.feast / "registry.db"
    return path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()


def _rows(settings: Settings) -> dict[str, int]:
    """Count the rows of each table of the online store."""
    connection = sqlite3.connect(settings.feast / "online_store.db")
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
    connection.close()
    return counts


def test_apply_definitions_to_empty_registry_creates_all(shop: Settings) -> None:
    printed = apply_definitions(open_store())
    for name in ("holdfast", "customer_purchase_history", "customer_request_time", "churn_v1"):
        assert name in printed
    assert "\x1b" not in printed
    store = open_store()
    assert [service.name for service in store.list_feature_services()] == ["churn_v1"]
    assert len(store.list_feature_views()) == 3
    assert [view.name for view in store.list_on_demand_feature_views()] == ["customer_request_time"]


def test_apply_definitions_twice_changes_nothing(shop: Settings) -> None:
    apply_definitions(open_store())
    before = _stat(shop)
    assert "No changes" in apply_definitions(open_store())
    assert _stat(shop) == before


def test_apply_definitions_after_materialization_changes_nothing(open_shop: Settings) -> None:
    before = _stat(open_shop), _rows(open_shop)
    printed = apply_definitions(open_store())
    assert "No changes" in printed
    assert "pdated" not in printed
    assert (_stat(open_shop), _rows(open_shop)) == before


def test_collect_definitions_names_every_object_once() -> None:
    wanted = collect_definitions()
    assert [project.name for project in wanted.projects] == ["holdfast"]
    names = [item.name for item in (*wanted.feature_views, *wanted.on_demand_feature_views, *wanted.feature_services)]
    assert len(names) == len(set(names)) == 5


def test_apply_definitions_registers_a_changed_definition(open_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from feature_repo.feature_services import churn_v1

    rows = _rows(open_shop)
    monkeypatch.setattr(churn_v1, "description", "Another description.")
    assert "churn_v1" in apply_definitions(open_store())
    assert open_store().get_feature_service("churn_v1").description == "Another description."
    assert _rows(open_shop) == rows


def test_apply_definitions_in_a_copied_data_folder_leaves_the_original_unchanged(
    open_shop: Settings, tmp_path: Path
) -> None:
    before = _stat(open_shop), _rows(open_shop)
    copy = Path(shutil.copytree(open_shop.data, tmp_path / "copy"))
    with use_data_folder(copy) as settings:
        snapshot = build_features(settings)
        report = check_parity(registered_store(), registered_store(KNOWN_AT), read_customers(snapshot), AS_OF)
        assert report.mismatches == 0
    assert (_stat(open_shop), _rows(open_shop)) == before


def test_moved_data_folder_gives_parity(open_shop: Settings, tmp_path: Path) -> None:
    moved = Path(shutil.move(open_shop.data, tmp_path / "moved"))
    with use_data_folder(moved) as settings:
        snapshot = build_features(settings)
        report = check_parity(registered_store(), registered_store(KNOWN_AT), read_customers(snapshot), AS_OF)
        assert report.mismatches == 0
