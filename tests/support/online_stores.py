"""Online stores with the features of the small shop, and functions that corrupt stored values."""

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from feast.infra.online_stores.helpers import _mmh3
from feast.protos.feast.types.Value_pb2 import Value as ValueProto

from feature_repo.names import ENTITY_KEY, FEATURE_SERVICE, REQUEST_TIME
from feature_repo.settings import Settings
from holdfast.feast_stores._feast_imports import FeatureStore
from holdfast.feast_stores.installation import stored_project
from holdfast.feast_stores.raw_values import entity_keys
from holdfast.feast_stores.settings import FEATURE_REPO
from holdfast.online_features.reader import OnlineReader
from tests.support.definition_versions import version_files
from tests.support.redis_server import FaultyRedisServer, temporary_redis
from tests.support.small_shop import AS_OF, build_features, copy_shop, registered_store, use_data_folder

REDIS_PROFILE = {"FEAST_FS_YAML_FILE_PATH": str(FEATURE_REPO / "feature_store.redis.yaml")}
HISTORY, ACTIVITY, RHYTHM = "customer_purchase_history", "customer_recent_activity", "customer_purchase_rhythm"
VIEWS = [HISTORY, ACTIVITY, RHYTHM]
CUSTOMERS = [f"c{number:03d}" for number in range(300)]


@dataclass(frozen=True)
class OnlineShop:
    """Materialized shop with its feature store and reader; ``server`` is set for Redis."""

    settings: Settings
    store: FeatureStore
    reader: OnlineReader
    server: FaultyRedisServer | None

    def write(self, view: str, customer: str, age: timedelta = timedelta(0), **values: object) -> None:
        """Write the features of c001 as those of ``customer``, with changed values and an earlier event time."""
        files = (self.settings.snapshots / view).rglob("*.parquet")
        rows = pd.concat([pd.read_parquet(file) for file in files])
        row = rows[rows.customer_id == "c001"].assign(customer_id=customer, as_of=AS_OF - age, **values)
        self.store.write_to_online_store(view, row)

    def put(self, view: str, field: str, customer: str, value: bytes | None) -> None:
        """Overwrite the stored bytes of one feature; None deletes the feature."""
        (key,) = entity_keys([customer])
        if self.server is not None:
            name, hashed = key + stored_project(self.store.config).encode(), _mmh3(f"{view}:{field}")
            client = self.server.client()
            changed = client.hdel(name, hashed) if value is None else client.hset(name, hashed, value) == 0
        else:
            place = (key, field)
            where = f"{self.store.project}_{view} WHERE entity_key = ? AND feature_name = ?"
            with (
                contextlib.closing(sqlite3.connect(version_files(self.settings.data) / "online_store.db")) as database,
                database,
            ):
                if value is None:
                    changed = database.execute(f"DELETE FROM {where}", place).rowcount
                else:
                    where = where.replace(" WHERE", " SET value = ? WHERE")
                    changed = database.execute(f"UPDATE {where}", (value, *place)).rowcount
        assert changed, "the feature is not in the store"


@contextmanager
def online_shop(online_store: str, folder: Path) -> Iterator[OnlineShop]:
    """Materialize the shop at ``AS_OF`` in "sqlite" or "redis" and use it in this process for the block."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(temporary_redis()) if online_store == "redis" else None
        variables = REDIS_PROFILE | {"HOLDFAST_REDIS": server.connection_string} if server else {}
        settings = stack.enter_context(use_data_folder(copy_shop(folder), **variables))
        build_features(settings)
        store = registered_store()
        yield OnlineShop(settings, store, OnlineReader(store, FEATURE_SERVICE), server)


@contextmanager
def connect_reader(
    server: FaultyRedisServer, monkeypatch: pytest.MonkeyPatch, options: str = ""
) -> Iterator[OnlineReader]:
    """Create a reader with a new connection pool, as a starting service does."""
    with monkeypatch.context() as patch:
        patch.setenv("HOLDFAST_REDIS", server.connection_string + options)
        yield OnlineReader(registered_store(), FEATURE_SERVICE)


def as_feast_reads(store: FeatureStore, customer_ids: list[str], as_of_us: Any) -> tuple[np.ndarray, np.ndarray]:
    """Read inputs and their null mask, shape (n, k), by ``get_online_features``, in the order of the service."""
    service = store.get_feature_service(FEATURE_SERVICE)
    times = np.broadcast_to(np.asarray(as_of_us, dtype=np.int64), len(customer_ids)).tolist()
    rows = [{ENTITY_KEY: id_, REQUEST_TIME: time} for id_, time in zip(customer_ids, times, strict=True)]
    columns = store.get_online_features(features=service, entity_rows=rows).to_dict()
    names = [field.name for projection in service.feature_view_projections for field in projection.features]
    values = np.array([columns[name] for name in names], dtype=np.float64).T
    nulls = np.array([[value is None for value in columns[name]] for name in names]).T
    return values, nulls


def double(value: float) -> bytes:
    """Serialize a Float64."""
    return ValueProto(double_val=value).SerializeToString()


def text(value: str) -> bytes:
    """Serialize a String."""
    return ValueProto(string_val=value).SerializeToString()
