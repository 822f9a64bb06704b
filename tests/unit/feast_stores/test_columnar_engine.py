"""Columnar materialization: the bytes of Feast's own engine in both stores, its fallback and its faults."""

import contextlib
import io
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import redis
from feast import Field
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.types import Int32

from feature_repo.names import ENTITY_KEY
from holdfast.feast_stores._feast_imports import FeatureStore
from holdfast.feast_stores.columnar_engine import ColumnarComputeEngine
from holdfast.feast_stores.installation import stored_project
from holdfast.feast_stores.raw_values import ViewRows, entity_keys
from tests.support.definition_versions import version_files
from tests.support.online_stores import CUSTOMERS, HISTORY, OnlineShop, online_shop
from tests.support.small_shop import AS_OF, registered_store


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlineShop]:
    with online_shop(request.param, tmp_path_factory.mktemp(request.param)) as shop:
        yield shop


@pytest.fixture(scope="module")
def redis_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlineShop]:
    with online_shop("redis", tmp_path_factory.mktemp("redis")) as shop:
        yield shop


def _read_all(shop: OnlineShop) -> dict[Any, Any]:
    """Read every stored byte."""
    if shop.server is not None:
        client = shop.server.client()
        return {key: client.hgetall(key) for key in client.scan_iter() if client.type(key) == b"hash"}
    with contextlib.closing(_connect(shop)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(database.execute(f'SELECT * FROM "{name}"').fetchall()) for name in tables}


def _connect(shop: OnlineShop) -> sqlite3.Connection:
    return sqlite3.connect(version_files(shop.settings.data) / "online_store.db")


def _clear(shop: OnlineShop) -> None:
    if shop.server is not None:
        shop.server.client().flushdb()
        return
    with contextlib.closing(_connect(shop)) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            database.execute(f'DELETE FROM "{name}"')


def _materialize(store: FeatureStore) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        store.materialize(start_date=AS_OF, end_date=AS_OF)


def _stock_store() -> FeatureStore:
    store = registered_store()
    store.config.batch_engine_config = "local"
    assert type(store.provider.batch_engine) is LocalComputeEngine
    return store


def test_materialize_stores_the_bytes_of_feasts_engine(shop: OnlineShop) -> None:
    assert type(shop.store.provider.batch_engine) is ColumnarComputeEngine
    _materialize(shop.store)
    columnar = _read_all(shop)
    _clear(shop)
    _materialize(_stock_store())
    assert columnar == _read_all(shop)
    assert any(columnar.values())


def test_materialize_again_changes_no_byte(shop: OnlineShop) -> None:
    _materialize(shop.store)
    before = _read_all(shop)
    _materialize(shop.store)
    assert _read_all(shop) == before


def test_materialize_overwrites_other_values_of_the_same_time(shop: OnlineShop) -> None:
    _materialize(shop.store)
    before = _read_all(shop)
    shop.put(HISTORY, "total_amount", CUSTOMERS[1], b"\x11" + bytes(8))
    assert _read_all(shop) != before
    _materialize(shop.store)
    after = _read_all(shop)
    if shop.server is None:
        table = f"{shop.store.project}_{HISTORY}"
        after[table] = [row for row in after[table] if row[0] != entity_keys(CUSTOMERS[1:2])[0]]
        before[table] = [row for row in before[table] if row[0] != entity_keys(CUSTOMERS[1:2])[0]]
    assert after == before


def test_write_columns_leaves_a_later_event_time_in_redis(redis_shop: OnlineShop) -> None:
    shop = redis_shop
    (key,) = entity_keys([CUSTOMERS[1]])
    client = shop.server.client()  # type: ignore[union-attr]
    shop.write(HISTORY, CUSTOMERS[1], age=-timedelta(days=1), purchase_days=99)
    later = client.hgetall(key + stored_project(shop.store.config).encode())
    _materialize(shop.store)
    now = client.hgetall(key + stored_project(shop.store.config).encode())
    assert now[f"_ts:{HISTORY}".encode()] == later[f"_ts:{HISTORY}".encode()]
    client.flushdb()


def test_write_columns_with_a_time_to_live_expires_the_customers(redis_shop: OnlineShop) -> None:
    store = registered_store()
    store.config.online_store.key_ttl_seconds = 3600
    _materialize(store)
    client = redis_shop.server.client()  # type: ignore[union-attr]
    (key,) = entity_keys([CUSTOMERS[1]])
    assert 3500 < client.ttl(key + stored_project(store.config).encode()) <= 3600
    client.flushdb()


def test_materialize_onto_a_key_of_another_type_fails(redis_shop: OnlineShop) -> None:
    client = redis_shop.server.client()  # type: ignore[union-attr]
    (key,) = entity_keys([CUSTOMERS[1]])
    client.flushdb()
    client.set(key + stored_project(redis_shop.store.config).encode(), b"text")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        _materialize(redis_shop.store)
    client.flushdb()


def test_write_columns_that_fails_in_a_later_chunk_changes_no_value(
    shop: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shop.server is not None:
        pytest.skip("Redis has no transaction over customers: a write that ends early is repeated")
    _materialize(shop.store)
    before = _read_all(shop)
    view = shop.store.get_feature_view(HISTORY)
    folder = Path(view.batch_source.path)
    rows = pa.concat_tables([pa.parquet.read_table(file) for file in folder.rglob("*.parquet")])
    rows = rows.set_column(1, "purchase_days", pa.array([7] * rows.num_rows, pa.int64()))
    monkeypatch.setattr("holdfast.feast_stores.sqlite_writer._CHUNK", 50)
    bound = iter(range(3))

    def fail_in_the_third(column: pa.Array, dtype: str) -> list[str | None]:
        next(bound)
        return [None] * len(column)

    monkeypatch.setattr("holdfast.feast_stores.sqlite_writer.format_values", fail_in_the_third)
    with pytest.raises(StopIteration):
        shop.store.provider.online_store.write_columns(shop.store.config, ViewRows(view, rows, "as_of", "known_at"))
    assert _read_all(shop) == before


def test_materialize_of_a_type_without_an_encoder_uses_feasts_engine(
    shop: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    _clear(shop)
    view = shop.store.get_feature_view(HISTORY)
    view.projection.features[0] = Field(name=view.features[0].name, dtype=Int32)
    view.features[0] = view.projection.features[0]
    monkeypatch.setattr(shop.store.registry, "list_feature_views", lambda *arguments, **options: [view])
    monkeypatch.setattr(type(shop.store.provider.online_store), "write_columns", None)
    _materialize(shop.store)
    assert _read_all(shop)
    assert ENTITY_KEY in view.join_keys
