"""Tests of the Redis online store: stored bytes, round trips, server faults, configuration."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.redis import RedisClient, RedisType
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE
from feature_repo.timestamps import NO_TIME, epoch_us
from holdfast.feast_stores.installation import stored_project
from holdfast.feast_stores.raw_values import entity_keys
from holdfast.feast_stores.redis_pipeline import _pack_around_key
from holdfast.feast_stores.settings import FEATURE_REPO
from holdfast.feature_store.materialization import delete_online_state
from holdfast.online_features.reader import OnlineReader
from holdfast.online_features.value_decoder import Fault
from tests.support.online_stores import CUSTOMERS, HISTORY, OnlineShop, connect_reader, online_shop
from tests.support.redis_server import FaultyRedisServer
from tests.support.small_shop import AS_OF, build_features, register_definitions, registered_store

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


class TestBytes:
    def test_online_write_batch_stores_the_bytes_of_feasts_store(
        self, shop: OnlineShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert shop.server is not None
        stock = tmp_path / "stock.yaml"
        written = (FEATURE_REPO / "feature_store.redis.yaml").read_text()
        assert written.count(TYPE) == 1
        stock.write_text(
            written.replace(TYPE, f"redis\n  connection_string: {shop.server.connection_string},db=1").replace(
                "registry.redis.db", "registry.stock.db"
            )
        )
        monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(stock))
        delete_online_state(shop.settings, register_definitions())
        build_features(shop.settings)
        assert registered_store().config.online_store.type == "redis"
        features, feast_features = (
            {key: client.hgetall(key) for key in client.scan_iter(count=1000, _type="hash")}
            for client in (shop.server.client(0), shop.server.client(1))
        )
        assert len(feast_features) == 300
        config = registered_store().config
        installation = stored_project(config).removeprefix(config.project).encode()
        assert installation and {key.removesuffix(installation): row for key, row in features.items()} == feast_features

    @given(st.lists(st.text(max_size=200), max_size=20))
    def test_entity_keys_equal_those_of_feast(self, customer_ids: list[str]) -> None:
        feasts = [
            serialize_entity_key(
                EntityKeyProto(join_keys=[ENTITY_KEY], entity_values=[ValueProto(string_val=id_)]),
                entity_key_serialization_version=3,
            )
            for id_ in customer_ids
        ]
        assert entity_keys(customer_ids) == feasts

    @given(st.binary(max_size=300), st.lists(st.binary(max_size=20) | st.text(max_size=20), min_size=1, max_size=30))
    def test_pack_around_key_equals_redis_py(self, key: bytes, fields: list[bytes | str]) -> None:
        head, tail = _pack_around_key("HMGET", fields)
        packed = b"".join(redis.Connection().pack_command("HMGET", key, *fields))
        assert b"%b%d\r\n%b%b" % (head, len(key), key, tail) == packed


class TestRoundTrips:
    def test_reader_sends_one_command_per_customer_at_once(
        self, shop: OnlineShop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert shop.server is not None
        shop.reader.read(SOME, NOW)
        sent: list[int] = []
        send = redis.Connection.send_packed_command
        monkeypatch.setattr(
            redis.Connection,
            "send_packed_command",
            lambda self, command, **options: (sent.append(len(command)), send(self, command, **options))[1],
        )
        client = shop.server.client()
        before = client.info("commandstats")["cmdstat_hmget"]["calls"]
        sent.clear()
        shop.reader.read(SOME, NOW)
        assert sent == [1]
        assert client.info("commandstats")["cmdstat_hmget"]["calls"] - before == len(SOME)

    def test_reader_thousands_of_customers_are_in_order(self, shop: OnlineShop) -> None:
        ids = [*CUSTOMERS * 8, "no-such-id"]
        found = shop.reader.read(ids, NOW)
        once = shop.reader.read(CUSTOMERS, NOW).inputs
        assert np.array_equal(found.inputs[:-1], np.tile(once, (8, 1)), equal_nan=True)
        assert (found.timestamps_us[-1] == NO_TIME).all()

    @pytest.mark.parametrize("server_kind", [{"redis_type": RedisType.redis_sentinel}, {"client": RedisClient.glide}])
    def test_reader_cluster_sentinel_and_glide_use_feasts_client(
        self, shop: OnlineShop, monkeypatch: pytest.MonkeyPatch, server_kind: dict[str, Any]
    ) -> None:
        store = registered_store()
        online = store.provider.online_store
        features = OnlineReader(store, FEATURE_SERVICE).fetch(SOME)
        config = store.config.online_store
        feasts, asked = type(online)._read_hash_fields, []

        def read(self: Any, repo_config: Any, commands: Any) -> Any:
            asked.append(len(commands))
            plain = repo_config.model_copy()
            plain._online_store = config
            return feasts(self, plain, commands)

        monkeypatch.setattr(type(online), "_read_hash_fields", read)
        store.config._online_store = config.model_copy(update=server_kind)
        assert OnlineReader(store, FEATURE_SERVICE).fetch(SOME) == features
        assert asked == [len(SOME)]

    def test_reader_fast_reads_on_and_off_return_the_same_bytes(self, shop: OnlineShop) -> None:
        store = registered_store()
        assert store.config.online_store.fast_reads
        ids = ["no-such-id", *SOME, "c001"]
        fast = OnlineReader(store, FEATURE_SERVICE).fetch(ids)
        store.config.online_store.fast_reads = False
        assert OnlineReader(store, FEATURE_SERVICE).fetch(ids) == fast
        assert fast.times_us[0][0] == NO_TIME and fast.times_us[0][1] == NOW


class TestFaults:
    def test_reader_killed_server_raises_and_recovers_after_restart(
        self, server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with connect_reader(server, monkeypatch) as reader:
            before = reader.read(SOME, NOW).inputs
            server.kill()
            for _ in range(3):
                began = time.monotonic()
                with pytest.raises(redis.ConnectionError):
                    reader.read(SOME, NOW)
                assert time.monotonic() - began < 1
            server.start()
            assert np.array_equal(reader.read(SOME, NOW).inputs, before, equal_nan=True)

    def test_reader_restarted_server_is_read(self, server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        with connect_reader(server, monkeypatch) as reader:
            before = reader.read(SOME, NOW).inputs
            server.restart()
            assert np.array_equal(reader.read(SOME, NOW).inputs, before, equal_nan=True)

    def test_reader_hanging_server_times_out_and_late_reply_is_discarded(
        self, server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with connect_reader(server, monkeypatch, ",socket_timeout=0.2") as reader:
            wanted = reader.read(["c002"], NOW).inputs
            server.pause()
            began = time.monotonic()
            with pytest.raises(redis.TimeoutError):
                reader.read(["c001"], NOW)
            assert 0.1 < time.monotonic() - began < 1
            server.resume()
            assert np.array_equal(reader.read(["c002"], NOW).inputs, wanted, equal_nan=True)

    @pytest.mark.parametrize("failure", [KeyboardInterrupt(), MemoryError(), redis.ResponseError("LOADING")])
    def test_reader_interrupted_read_leaves_no_replies(
        self, server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch, failure: BaseException
    ) -> None:
        with connect_reader(server, monkeypatch) as reader:
            wanted = reader.read(SOME, NOW).inputs
            answer, answered = redis.Connection.read_response, []

            def broken_off(self: Any, **options: Any) -> Any:
                answered.append(1)
                if len(answered) == 20:
                    raise failure
                return answer(self, **options)

            with monkeypatch.context() as patch:
                patch.setattr(redis.Connection, "read_response", broken_off)
                with pytest.raises(type(failure)):
                    reader.read(CUSTOMERS, NOW)
            assert np.array_equal(reader.read(SOME, NOW).inputs, wanted, equal_nan=True)

    def test_reader_interrupted_before_reply_leaves_no_replies(
        self, server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken_off(self: Any, **options: Any) -> Any:
            raise KeyboardInterrupt

        with connect_reader(server, monkeypatch) as reader:
            wanted = reader.read(["c002"], NOW).inputs
            server.pause()
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(redis.Connection, "read_response", broken_off)
                reader.read(["c001"], NOW)
            threading.Timer(0.2, server.resume).start()
            assert np.array_equal(reader.read(["c002"], NOW).inputs, wanted, equal_nan=True)

    def test_reader_key_of_other_type_affects_its_customer_only(
        self, server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd = entity_keys(["odd"])[0] + stored_project(registered_store().config).encode()
        server.client().set(odd, b"text")
        with connect_reader(server, monkeypatch) as reader:
            wanted = reader.read(SOME, NOW)
            found = reader.read(["odd", *SOME], NOW)
        server.client().delete(odd)
        assert (found.faults[0] == Fault.WRONG_TYPE).all()
        assert (found.timestamps_us[0] == NO_TIME).all()
        assert np.array_equal(found.inputs[1:], wanted.inputs, equal_nan=True)
        assert not found.faults[1:].any()

    def test_reader_connection_closed_during_read_reconnects(
        self, server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with connect_reader(server, monkeypatch) as reader:
            wanted = reader.read(SOME, NOW).inputs
            answer, answered = redis.Connection.read_response, []

            def kill(self: Any, **options: Any) -> Any:
                answered.append(1)
                if len(answered) == 1:
                    self._sock.close()
                return answer(self, **options)

            with monkeypatch.context() as patch:
                patch.setattr(redis.Connection, "read_response", kill)
                assert np.array_equal(reader.read(SOME, NOW).inputs, wanted, equal_nan=True)
            assert len(answered) > len(SOME)

    @pytest.mark.parametrize("stored", [b"", b"x", b"\x08" + b"\xff" * 8 + b"\x7f", b"\x10\xff\xff\xff\xff\x07"])
    def test_reader_invalid_event_time_affects_its_customer_only(
        self, server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch, stored: bytes
    ) -> None:
        name = entity_keys(["c001"])[0] + stored_project(registered_store().config).encode()
        before = server.client().hget(name, f"_ts:{HISTORY}")
        server.client().hset(name, f"_ts:{HISTORY}", stored)
        with connect_reader(server, monkeypatch) as reader:
            found = reader.read(["c001", "c002"], NOW)
        server.client().hset(name, f"_ts:{HISTORY}", before)
        assert found.timestamps_us[0].min() in (NO_TIME, 0)  # no bytes are Feast's way to write 1970
        assert (found.timestamps_us[1] == NOW).all()

    def test_reader_errors_release_the_connection(
        self, server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("HOLDFAST_REDIS", f"{server.connection_string},socket_timeout=0.2,max_connections=3")
            store = registered_store()
            reader = OnlineReader(store, FEATURE_SERVICE)

            def attempt(_: int) -> str:
                try:
                    return str(reader.read(["c001"], NOW).faults.any())
                except (redis.ConnectionError, redis.TimeoutError) as error:
                    return type(error).__name__

            server.pause()
            with ThreadPoolExecutor(3) as pool:
                assert set(pool.map(attempt, range(6))) == {"TimeoutError"}
            server.resume()
            server.kill()
            assert [attempt(i) for i in range(6)] == ["ConnectionError"] * 6
            server.start()
            with ThreadPoolExecutor(3) as pool:
                assert set(pool.map(attempt, range(30))) == {"False"}
            assert not store.provider.online_store._client.connection_pool._in_use_connections
