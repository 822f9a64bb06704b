"""Configuration of the Redis store, and the record of which versions it holds."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import redis

from feature_repo.names import FEATURE_SERVICE
from feature_repo.timestamps import NO_TIME, epoch_us
from holdfast.feast_stores._feast_imports import load_repo_config
from holdfast.feast_stores.installation import stored_project
from holdfast.feast_stores.redis_online_store import (
    SingleRoundTripRedisOnlineStore,
    SingleRoundTripRedisOnlineStoreConfig,
)
from holdfast.feast_stores.settings import FEATURE_REPO
from holdfast.online_features.reader import OnlineReader
from tests.support.definition_versions import version_files
from tests.support.online_stores import CUSTOMERS, HISTORY, REDIS_PROFILE, OnlineShop, connect_reader, online_shop
from tests.support.redis_server import FaultyRedisServer
from tests.support.small_shop import AS_OF, registered_store

NOW = epoch_us(AS_OF)
SOME = CUSTOMERS[:40]
TYPE = "holdfast.feast_stores.redis_online_store.SingleRoundTripRedisOnlineStore"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlineShop]:
    with online_shop("redis", tmp_path_factory.mktemp("redis")) as shop:
        yield shop


@pytest.fixture
def server(shop: OnlineShop) -> Iterator[FaultyRedisServer]:
    """Server of the shop, restarted after the test."""
    assert shop.server is not None
    yield shop.server
    shop.server.restart()


class TestConfiguration:
    @pytest.fixture(autouse=True)
    def _private_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOLDFAST_PLAIN_HOSTS", "host,elsewhere")

    def test_configuration_password_and_database_are_used(
        self, server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.set_password("s3cret=x")
        with connect_reader(server, monkeypatch) as reader:
            assert not reader.read(SOME, NOW).faults.any()
        with connect_reader(server, monkeypatch, ",db=7") as reader:
            assert (reader.read(SOME, NOW).timestamps_us == NO_TIME).all()
        server.set_password("1e5")
        for password, is_right in [('"1e5"', True), ("1e5", False), ("wrong", False)]:
            monkeypatch.setenv("HOLDFAST_REDIS", f"127.0.0.1:{server.port},password={password}")
            reader = OnlineReader(registered_store(), FEATURE_SERVICE)
            with contextlib.nullcontext() if is_right else pytest.raises(redis.AuthenticationError):
                assert not reader.read(SOME, NOW).faults.any()

    def test_configuration_without_time_limits_has_defaults(self) -> None:
        def limits(given: str) -> tuple[float, float]:
            options = _pool(connection_string=given).connection_kwargs
            assert (options["host"], options["db"]) == ("host", 2)
            return options["socket_connect_timeout"], options["socket_timeout"]

        assert limits("host:6380,db=2") == (1.0, 1.0)
        assert limits("host:6380,db=2,socket_timeout=0.25") == (1.0, 0.25)
        assert limits("host:6380,socket_connect_timeout=3,db=2") == (3, 1.0)

    def test_limit_read_time_applies_without_own_limits(self) -> None:
        def limits(given: str) -> tuple[float, float]:
            config = SingleRoundTripRedisOnlineStoreConfig(type=TYPE, connection_string=given)
            config.limit_read_time(0.25)
            options = SingleRoundTripRedisOnlineStore()._get_client(config).connection_pool.connection_kwargs
            assert options["host"] == "host"
            return options["socket_connect_timeout"], options["socket_timeout"]

        assert limits("host:6380") == (0.25, 0.25)
        assert limits("host:6380,socket_timeout=2") == (0.25, 2)

    def test_configuration_without_variable_uses_local_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOLDFAST_REDIS", "elsewhere:7000")
        assert _pool().connection_kwargs["host"] == "elsewhere"
        for clear in (lambda: monkeypatch.setenv("HOLDFAST_REDIS", ""), lambda: monkeypatch.delenv("HOLDFAST_REDIS")):
            clear()
            assert (_pool().connection_kwargs["host"], _pool().connection_kwargs["port"]) == ("localhost", "6379")

    def test_configuration_tls_is_passed_to_redis(self) -> None:
        assert _pool(connection_string="host:6380,ssl=true").connection_class is redis.SSLConnection
        assert _pool(connection_string="host:6380").connection_class is redis.Connection

    def test_configuration_profile_is_selected_by_feasts_variable(self, shop: OnlineShop) -> None:
        assert REDIS_PROFILE["FEAST_FS_YAML_FILE_PATH"].endswith("feature_store.redis.yaml")
        assert registered_store().config.online_store.type == TYPE
        assert (shop.settings.feast / "registry.redis.db").exists()
        files = {path.name for path in version_files(shop.settings.data).iterdir()}
        assert files >= {"registry.redis.db", "online_state.json"}
        assert "online_store.db" not in files


def _pool(**options: Any) -> redis.ConnectionPool:
    """The connections that the store makes with these options."""
    client = SingleRoundTripRedisOnlineStore()._get_client(SingleRoundTripRedisOnlineStoreConfig(type=TYPE, **options))
    return client.connection_pool


def test_apply_removed_view_removes_its_values(shop: OnlineShop) -> None:
    assert shop.server is not None
    before = shop.reader.read(["c001"], NOW)
    view = shop.store.get_feature_view(HISTORY)
    online = shop.store.provider.online_store
    online.update(shop.store.config, [view], [], [], [], partial=False)
    after = shop.reader.read(["c001"], NOW)
    removed = [i for i, name in enumerate(shop.reader.views) if name == HISTORY]
    assert (after.timestamps_us[:, removed] == NO_TIME).all()
    assert (
        np.delete(after.timestamps_us, removed, axis=1).tolist()
        == np.delete(before.timestamps_us, removed, axis=1).tolist()
    )


class TestFilled:
    """Marks of a project whose values are complete; each test has a server for two projects."""

    @pytest.fixture
    def store(self, redis_server: FaultyRedisServer) -> Iterator[SingleRoundTripRedisOnlineStore]:
        redis_server.client().flushall()
        yield SingleRoundTripRedisOnlineStore()

    def _config(self, server: FaultyRedisServer, project: str) -> Any:
        config = load_repo_config(FEATURE_REPO, FEATURE_REPO / "feature_store.redis.yaml")
        config.project = project
        config.online_store.connection_string = server.connection_string
        return config

    def test_is_empty_until_project_is_filled_whatever_others_hold(
        self, store: SingleRoundTripRedisOnlineStore, redis_server: FaultyRedisServer
    ) -> None:
        one, two = (self._config(redis_server, project) for project in ("holdfast_one", "holdfast_two"))
        assert store.is_empty(one)
        store.mark_filled(one)
        assert store.is_empty(one), "a read that started before may have missed values"
        assert 0 < redis_server.client().ttl(f"holdfast:filling:{stored_project(one)}") <= 2
        redis_server.client().delete(f"holdfast:filling:{stored_project(one)}")
        assert (store.is_empty(one), store.is_empty(two)) == (False, True)
        store.mark_filled(one)
        assert not store.is_empty(one), "a later materialization makes no customer unknown"
        redis_server.client().flushall()
        assert store.is_empty(one), "the server has lost its data"

    @pytest.mark.parametrize("removed", ["update", "teardown"])
    def test_is_empty_after_values_of_project_are_deleted(
        self, store: SingleRoundTripRedisOnlineStore, redis_server: FaultyRedisServer, shop: OnlineShop, removed: str
    ) -> None:
        one, two = (self._config(redis_server, project) for project in ("holdfast_one", "holdfast_two"))
        for config in (one, two):
            store.mark_filled(config)
            redis_server.client().delete(f"holdfast:filling:{stored_project(config)}")
        view = shop.store.get_feature_view(HISTORY)
        if removed == "update":
            store.update(one, [], [view], [], [], partial=False)
            assert not store.is_empty(one)
            store.update(one, [view], [], [], [], partial=False)
        else:
            store.teardown(one, [view], [])
        assert (store.is_empty(one), store.is_empty(two)) == (True, False)
