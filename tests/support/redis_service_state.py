"""The data folder of the service tests with its online features in Redis."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from feast.infra.online_stores.helpers import _mmh3
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from starlette.testclient import TestClient

from holdfast.feast_stores.raw_values import entity_keys
from holdfast.feast_stores.settings import FEATURE_REPO
from tests.support.redis_server import FaultyRedisServer, temporary_redis
from tests.support.service_fixtures import serve_in_process, service_environment
from tests.support.service_state import AS_OF

HISTORY, ACTIVITY, RHYTHM = "customer_purchase_history", "customer_recent_activity", "customer_purchase_rhythm"
PROFILE = {"FEAST_FS_YAML_FILE_PATH": str(FEATURE_REPO / "feature_store.redis.yaml")}


@dataclass(frozen=True)
class RedisServiceState:
    """A data folder, and the Redis server with its online features."""

    data: Path
    server: FaultyRedisServer
    stored: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict, repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """Return the settings of a service that reads from the server."""
        return PROFILE | {"HOLDFAST_REDIS": self.server.connection_string}

    def serve(self, **variables: str) -> AbstractContextManager[TestClient]:
        """Serve in this process; the parameters are those of ``serve_in_process``."""
        return serve_in_process(self.data, **self.variables | variables)

    def put(self, customer: str, view: str, name: str, value: bytes | None) -> None:
        """Overwrite a stored feature, or with the name "_ts" the time of its view; None removes the value."""
        stored = f"_ts:{view}".encode() if name == "_ts" else _mmh3(f"{view}:{name}")
        client = self.server.client()
        assert client.hdel(entity_key(customer), stored), "there was no such value"
        if value is not None:
            client.hset(entity_key(customer), stored, value)

    def restore(self) -> None:
        """Restore exactly the materialized features."""
        client = self.server.client()
        client.flushall()
        with client.pipeline(transaction=False) as pipe:
            for name, mapping in self.stored.items():
                pipe.hset(name, mapping=mapping)
            pipe.execute()


FILLING = "holdfast:filling:holdfast"


def entity_key(customer: str) -> bytes:
    """Return the key of a customer in Redis."""
    return entity_keys([customer])[0] + b"holdfast"


def stored_value(**of_type: object) -> bytes:
    """Serialize a value as Feast does, such as ``int64_val=3``."""
    return ValueProto(**of_type).SerializeToString()


@contextmanager
def redis_service_state(service_data: Path, folder: Path) -> Iterator[RedisServiceState]:
    """Copy ``service_data`` and materialize it into a new server."""
    data = Path(shutil.copytree(service_data, folder / "data"))
    shutil.copy(data / "feast" / "registry.db", data / "feast" / "registry.redis.db")
    (data / "feast" / "online_store.db").unlink()
    with temporary_redis() as server:
        found = RedisServiceState(data, server)
        with service_environment(data, **found.variables):
            from holdfast.feast_stores.open_store import open_store

            store = open_store()
            store.materialize(AS_OF, AS_OF)
            store.provider.online_store.mark_filled(store.config)
        client = server.client()
        assert 0 < client.ttl(FILLING) <= 2, "reads that started before may still be in progress"
        client.delete(FILLING)
        found.stored.update({name: client.hgetall(name) for name in client.scan_iter(count=1000)})
        assert len(found.stored) == 300
        yield found
