"""Versions of the definitions while the Redis server or the SQL registry is down: before a step, and in its middle."""

import gc
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.pool import Pool

from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import applied_version, list_versions, open_version, register_version
from holdfast.feature_store.feast_registry import apply_definitions
from holdfast.feature_store.materialization import load_online_state, materialize
from holdfast.feature_store.parity import check_parity
from holdfast.feature_store.snapshots import build_snapshots, read_customers
from holdfast.feature_store.store_outages import StoreUnreachableError
from holdfast.feature_store.version_retirement import retire_version
from tests.support.definition_changes import change_window
from tests.support.online_stores import OnlineShop, online_shop
from tests.support.redis_server import FaultyRedisServer
from tests.support.small_shop import AS_OF, KNOWN_AT, build_features, copy_shop, use_data_folder
from tests.support.sql_registry import sql_registry

pytestmark = pytest.mark.long

_REDIS = "feast.infra.online_stores.redis.RedisOnlineStore"
_WRITE = "holdfast.feast_stores.redis_online_store.SingleRoundTripRedisOnlineStore.write_columns"
_SQL = "feast.infra.registry.sql.SqlRegistry"


def _long(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[OnlineShop]:
    with online_shop("redis", tmp_path) as found:
        yield found


def _fill(settings: Settings, version: str) -> None:
    materialize(settings, version, build_snapshots(settings, open_version(settings, version), AS_OF, KNOWN_AT)[0])


def _count_mismatches(settings: Settings, version: str) -> int:
    snapshot = build_snapshots(settings, open_version(settings, version), AS_OF, KNOWN_AT)[0]
    materialize(settings, version, snapshot)
    online, offline = open_version(settings, version), open_version(settings, version, snapshot.known_at)
    return check_parity(online, offline, read_customers(snapshot), AS_OF).mismatches


def _contents(server: FaultyRedisServer, version: str) -> dict[bytes, Any]:
    client = server.client()
    names = client.scan_iter(match=f"*holdfast_{version}*", count=1000)
    return {name: client.hgetall(name) for name in names if not name.startswith(b"holdfast:")}


def _fail_at(patch: pytest.MonkeyPatch, target: str, call: int, fail: Callable[[], None]) -> None:
    """Call ``fail`` before the given call of a method; without one, at once."""
    if not call:
        fail()
        return
    path, name = target.rsplit(".", 1)
    module, owner_name = path.rsplit(".", 1)
    owner = getattr(importlib.import_module(module), owner_name)
    method, calls = getattr(owner, name), iter(range(1, 1000))

    def counted(*arguments: Any, **options: Any) -> Any:
        if next(calls) == call:
            fail()
        return method(*arguments, **options)

    patch.setattr(owner, name, counted)


@pytest.mark.parametrize("call", [_long(0), _long(1), 2])
def test_redis_stops_at_materialization_and_next_run_completes(
    shop: OnlineShop, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    (first,), server = list_versions(shop.settings), shop.server
    assert server is not None
    before = _contents(server, first)
    change_window(open_store())
    second = register_version(open_store())
    with monkeypatch.context() as patch:
        _fail_at(patch, _WRITE, call, server.kill)
        with pytest.raises(StoreUnreachableError, match=r"Redis server in HOLDFAST_REDIS, cannot be reached.*again"):
            _fill(shop.settings, second)
    assert load_online_state(shop.settings, second) is None
    server.restart()
    assert _contents(server, first) == before
    assert list_versions(shop.settings) == sorted([first, second])
    assert [_count_mismatches(shop.settings, version) for version in (first, second)] == [0, 0]


@pytest.mark.parametrize("call", [_long(0), 1, _long(2), _long(3)])
def test_redis_stops_at_retirement_and_next_retirement_completes(
    shop: OnlineShop, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    (first,), server = list_versions(shop.settings), shop.server
    assert server is not None
    change_window(open_store())
    second = register_version(open_store())
    _fill(shop.settings, second)
    before = _contents(server, first)
    with monkeypatch.context() as patch:
        _fail_at(patch, f"{_REDIS}.delete_table", call, server.kill)
        with pytest.raises(StoreUnreachableError, match="cannot be reached"):
            retire_version(shop.settings, second, "a mistake")
    assert list_versions(shop.settings) == sorted([first, second]), "a version is retired once its values are deleted"
    server.restart()
    assert _contents(server, first) == before
    if call == 1:  # a daily run comes first, and restores the version
        assert _count_mismatches(shop.settings, second) == 0
    retire_version(shop.settings, second, "a mistake")
    assert (_contents(server, first), _contents(server, second)) == (before, {})
    assert (list_versions(shop.settings), _count_mismatches(shop.settings, first)) == ([first], 0)


def test_registration_needs_no_redis(shop: OnlineShop) -> None:
    (first,), server = list_versions(shop.settings), shop.server
    assert server is not None
    server.kill()
    change_window(open_store())
    second = register_version(open_store())
    assert list_versions(shop.settings) == sorted([first, second])
    server.restart()
    assert [_count_mismatches(shop.settings, version) for version in (first, second)] == [0, 0]


class TestSqlRegistry:
    @pytest.fixture
    def database(self, tmp_path: Path) -> Path:
        return tmp_path / "database" / "registry.sqlite"

    @pytest.fixture
    def settings(self, tmp_path: Path, database: Path) -> Iterator[Settings]:
        with use_data_folder(copy_shop(tmp_path), **sql_registry(tmp_path, database)) as settings:
            build_features(settings)
            yield settings

    @pytest.mark.parametrize(
        ("target", "call"),
        [
            _long("apply_project", 0),
            _long("apply_feature_view", 1),
            ("apply_feature_view", 3),
            _long("apply_feature_service", 1),
        ],
    )
    def test_registry_is_lost_at_registration_and_next_run_completes(
        self, settings: Settings, database: Path, monkeypatch: pytest.MonkeyPatch, target: str, call: int
    ) -> None:
        (first,) = list_versions(settings)
        change_window(open_store())
        store = open_store()
        second = applied_version(store)
        away = database.parent.with_name("away")
        with monkeypatch.context() as patch:
            _fail_at(patch, f"{_SQL}.{target}", call, lambda: _take_away(database, away))
            with pytest.raises(StoreUnreachableError, match="Feast's registry, the database in the file of FEAST_FS"):
                register_version(store)
            with pytest.raises(StoreUnreachableError, match="unable to open database file"):
                list_versions(settings)
        away.rename(database.parent)
        assert list_versions(settings) == [first]
        assert register_version(open_store()) == second
        assert [_count_mismatches(settings, version) for version in (first, second)] == [0, 0]

    @pytest.mark.parametrize(("target", "call"), [_long("", 0), ("delete_feature_view", 2), _long("delete_project", 1)])
    def test_registry_is_lost_at_retirement_and_next_retirement_completes(
        self, settings: Settings, database: Path, monkeypatch: pytest.MonkeyPatch, target: str, call: int
    ) -> None:
        (first,) = list_versions(settings)
        change_window(open_store())
        second = register_version(open_store())
        _fill(settings, second)
        away = database.parent.with_name("away")
        with monkeypatch.context() as patch:
            _fail_at(patch, f"{_SQL}.{target}", call, lambda: _take_away(database, away))
            with pytest.raises(StoreUnreachableError, match="unable to open database file"):
                retire_version(settings, second, "a mistake")
        away.rename(database.parent)
        assert list_versions(settings) == sorted([first, second])
        retire_version(settings, second, "a mistake")
        assert (list_versions(settings), _count_mismatches(settings, first)) == ([first], 0)
        apply_definitions(open_store())
        assert applied_version(open_store()) == first


def _take_away(database: Path, folder: Path) -> None:
    """Let every connection fail: open ones of the pool are of a file that is deleted."""
    database.parent.rename(folder)
    for pool in gc.get_objects():
        if isinstance(pool, Pool):
            pool.dispose()
