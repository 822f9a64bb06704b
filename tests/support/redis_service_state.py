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
from tests.support.definition_versions import materialize_version, online_file, only_version, registry_file
from tests.support.redis_server import FaultyRedisServer, temporary_redis
from tests.support.service_fixtures import serve_in_process, service_environment
from tests.support.service_state import AS_OF, KNOWN_AT

HISTORY, ACTIVITY, RHYTHM = "customer_purchase_history", "customer_recent_activity", "customer_purchase_rhythm"
_INSTALLATION = "test"
PROFILE = {
    "FEAST_FS_YAML_FILE_PATH": str(FEATURE_REPO / "feature_store.redis.yaml"),
    "HOLDFAST_INSTALLATION": _INSTALLATION,
}


@dataclass(frozen=True)
class RedisServiceState:
    """A data folder with one version of the definitions, and the Redis server with its online features."""

    data: Path
    server: FaultyRedisServer
    version: str
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
        assert client.hdel(self.key(customer), stored), "there was no such value"
        if value is not None:
            client.hset(self.key(customer), stored, value)

    def key(self, customer: str) -> bytes:
        """Return the key of a customer."""
        return entity_key(customer, self.version)

    def restore(self) -> None:
        """Restore exactly the materialized features."""
        client = self.server.client()
        client.flushall()
        client.set(filled_key(self.version), b"")
        with client.pipeline(transaction=False) as pipe:
            for name, mapping in self.stored.items():
                pipe.hset(name, mapping=mapping)
            pipe.execute()


def filled_key(version: str) -> str:
    """Return the key of the mark of a complete materialization."""
    return f"holdfast:filled:holdfast_{version}@{_INSTALLATION}"


def entity_key(customer: str, version: str) -> bytes:
    """Return the key of a customer in Redis."""
    return entity_keys([customer])[0] + f"holdfast_{version}@{_INSTALLATION}".encode()


def stored_value(**of_type: object) -> bytes:
    """Serialize a value as Feast does, such as ``int64_val=3``."""
    return ValueProto(**of_type).SerializeToString()


@contextmanager
def redis_service_state(service_data: Path, folder: Path) -> Iterator[RedisServiceState]:
    """Copy ``service_data`` and materialize it into a new server."""
    data = Path(shutil.copytree(service_data, folder / "data"))
    version = only_version(data)
    for registry in (data / "feast" / "registry.db", registry_file(data)):
        shutil.copy(registry, registry.with_name("registry.redis.db"))
    online_file(data).unlink()
    with temporary_redis() as server:
        found = RedisServiceState(data, server, version)
        with service_environment(data, **found.variables) as settings:
            materialize_version(settings, version, AS_OF, KNOWN_AT)
        client = server.client()
        filling = f"holdfast:filling:holdfast_{version}@{_INSTALLATION}"
        assert 0 < client.ttl(filling) <= 2, "reads that started before may still be in progress"
        client.delete(filling)
        assert client.exists(filled_key(version))
        names = [name for name in client.scan_iter(count=1000) if not name.startswith(b"holdfast:")]
        found.stored.update({name: client.hgetall(name) for name in names})
        assert len(found.stored) == 300
        yield found
