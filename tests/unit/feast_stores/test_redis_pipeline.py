"""Tests of the time limit of a Redis read over replies, batches and connections."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import redis

from feature_repo.names import FEATURE_SERVICE
from feature_repo.timestamps import epoch_us
from holdfast.feast_stores import redis_pipeline
from holdfast.feast_stores.open_store import open_store
from holdfast.online_features.reader import OnlineReader
from tests.support.online_stores import CUSTOMERS, OnlineShop, online_shop
from tests.support.small_shop import AS_OF, register_definitions
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

NOW = epoch_us(AS_OF)
LIMIT = 1.0
NOISE = 0.5
FEW, MANY = CUSTOMERS[:20], CUSTOMERS[:40]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlineShop]:
    with online_shop("redis", tmp_path_factory.mktemp("redis")) as shop:
        yield shop


@pytest.fixture
def network(shop: OnlineShop, monkeypatch: pytest.MonkeyPatch) -> Iterator[TcpProxy]:
    """Proxy between the reader and the server."""
    assert shop.server is not None
    with tcp_proxy(shop.server.port) as network:
        monkeypatch.setenv("HOLDFAST_REDIS", f"127.0.0.1:{network.port}")
        yield network


@pytest.fixture
def store(network: TcpProxy) -> Any:
    return open_store(online_timeout=LIMIT, definitions=register_definitions())


@pytest.fixture
def reader(store: Any) -> OnlineReader:
    """Reader with an open connection."""
    reader = OnlineReader(store, FEATURE_SERVICE)
    reader.read(FEW, NOW)
    return reader


def seconds_until_timeout(reader: OnlineReader, customers: Sequence[str]) -> float:
    """Read more slowly than the limit and return the seconds until the timeout."""
    began = time.monotonic()
    with pytest.raises(redis.TimeoutError):
        reader.read(customers, NOW)
    return time.monotonic() - began


def test_execute_pipeline_slow_replies_share_one_limit(network: TcpProxy, reader: OnlineReader) -> None:
    wanted = reader.read(FEW, NOW).inputs
    network.delay, network.piece = 0.4 * LIMIT, 1000  # each well within the limit; all of them take many times that
    for customers in (FEW, MANY):
        assert LIMIT / 2 < seconds_until_timeout(reader, customers) < LIMIT + NOISE
        network.delay = 0.0
        assert np.array_equal(reader.read(FEW, NOW).inputs, wanted, equal_nan=True)
        network.delay = 0.4 * LIMIT


def test_hash_reader_batches_share_one_limit(
    network: TcpProxy, reader: OnlineReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_pipeline, "_BATCH", 10)
    network.delay = 0.3 * LIMIT
    assert seconds_until_timeout(reader, CUSTOMERS) < LIMIT + NOISE


def test_execute_pipeline_restores_the_socket_timeout(
    network: TcpProxy, store: Any, reader: OnlineReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = reader.read(FEW, NOW).inputs
    monkeypatch.setattr(redis_pipeline, "_BATCH", 10)
    network.delay = 0.3 * LIMIT
    for _ in range(3):
        assert np.array_equal(reader.read(FEW, NOW).inputs, wanted, equal_nan=True)
    (connection,) = store.provider.online_store._client.connection_pool._available_connections
    assert connection._sock.gettimeout() == LIMIT
    assert network.accepted == 1


def test_execute_pipeline_retry_has_the_remaining_time(network: TcpProxy, reader: OnlineReader) -> None:
    network.delay, network.cuts, network.cut_after = 0.6 * LIMIT, 1, 100
    # It breaks after 0.6 s; each of the two answers to a new connection's greeting takes as long, and nothing is left.
    assert seconds_until_timeout(reader, FEW) < 1.8 * LIMIT + NOISE


def test_execute_pipeline_reconnect_has_the_remaining_time(
    network: TcpProxy, reader: OnlineReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []
    connect = redis.Connection._connect

    def connects(self: Any) -> Any:
        limits.append(self.socket_connect_timeout)
        return connect(self)

    monkeypatch.setattr(redis.Connection, "_connect", connects)
    network.delay, network.cuts, network.cut_after = 0.3 * LIMIT, 1, 100
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis.Connection, "on_connect_check_health", lambda self, **_: self._parser.on_connect(self))
        reader.read(FEW, NOW)
    assert len(limits) == 1
    assert limits[0] < 0.75 * LIMIT


def test_execute_pipeline_without_limit_waits(network: TcpProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_REDIS", f"127.0.0.1:{network.port},socket_timeout=null")
    reader = OnlineReader(open_store(online_timeout=0.1, definitions=register_definitions()), FEATURE_SERVICE)
    reader.read(FEW, NOW)
    network.delay, network.piece = 0.2, 4000
    assert not reader.read(FEW, NOW).faults.any()
