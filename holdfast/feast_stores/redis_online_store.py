"""Feast's Redis online store, read in one round trip; named in ``feature_store.redis.yaml``."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

from feast.infra.online_stores.redis import (
    RedisClient,
    RedisOnlineStore,
    RedisOnlineStoreConfig,
    RedisType,
    _versioned_fv_name,
)
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import Field, field_validator
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, NoPermissionError
from redis.retry import Retry

from feature_repo.timestamps import NO_TIME
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores._feast_imports import RepoConfig
from holdfast.feast_stores.raw_values import RawColumns, RawReader, ViewRequest, entity_keys
from holdfast.feast_stores.redis_pipeline import Deadline, Reply, execute_pipeline
from holdfast.feast_stores.settings import load_feature_store_settings

_LIMIT_SECONDS = 1.0  # without one, a server that hangs would hang every caller for ever
# Customers per round trip: what the server prepares for one caller, and keeps others waiting for, stays small.
_BATCH = 1000
_FILLING_SECONDS = 120
_READ_SECONDS = 2


class ConnectionStringError(HoldfastError):
    """It cannot be used. The error does not repeat it, for it may hold a password."""


class SingleRoundTripRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Feast's own options; the connection string is read from ``HOLDFAST_REDIS``, and always has time limits.

    For instance ``redis.internal:6379,db=1,password=secret,ssl=true,socket_timeout=0.2``. Feast reads each option as
    JSON if it can: a password like ``1e5`` is written ``password="1e5"``. None may contain a comma.
    """

    type: Literal["holdfast.feast_stores.redis_online_store.SingleRoundTripRedisOnlineStore"]  # type: ignore[assignment]
    connection_string: str = Field(default_factory=lambda: load_feature_store_settings().redis, validate_default=True)

    @field_validator("connection_string")
    @classmethod
    def _with_limits(cls, value: str) -> str:
        return _limits(_LIMIT_SECONDS) + value

    def limit_read_time(self, seconds: float) -> None:
        """Limit how long a read takes; what the connection string names itself stands."""
        self.connection_string = _limits(seconds) + self.connection_string.removeprefix(_limits(_LIMIT_SECONDS))


def _limits(seconds: float) -> str:
    """The beginning of a connection string: where an option is named twice, the later one counts."""
    return f"socket_connect_timeout={seconds},socket_timeout={seconds},"


class SingleRoundTripRedisOnlineStore(RedisOnlineStore):
    """Feast's Redis online store: the same bytes, and one HMGET per customer for the fields of all views.

    A single server is asked through redis-py's connections with commands packed here: redis-py packs a command's
    arguments one by one, which for 20 fields takes longer than the server's answer. A cluster, Sentinel and GLIDE
    are asked through Feast's own code.
    """

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        new = self._client is None
        if "://" in online_store_config.connection_string:  # a validator's error would repeat it
            raise ConnectionStringError("HOLDFAST_REDIS is a URL. Write it like host:6379,password=secret,ssl=true.")
        client = super()._get_client(online_store_config)
        if new and online_store_config.redis_type == RedisType.redis:
            # The default waits up to seconds before it gives up; and what timed out is not waited for once more.
            client.set_retry(Retry(NoBackoff(), 1, (ConnectionError,)))
        return client

    def is_empty(self, config: RepoConfig) -> bool:
        """Whether the server holds no key at all, as after a restart without its data, or is being filled after that.

        Who is unknown to it may be known tomorrow. False if it may not tell.

        Raises:
            RedisError: It cannot be asked.
        """
        if config.online_store.client != RedisClient.redis:
            return False
        client = self._get_client(config.online_store)
        try:
            return bool(client.exists(_filling(config)) or client.dbsize() == 0)
        except NoPermissionError:
            return False

    def online_write_batch(self, config: RepoConfig, *batch: Any, **named: Any) -> None:
        """As Feast's. A server that holds nothing is marked as one that is being filled, until :meth:`mark_filled`.

        The mark of a run that was killed, or of Feast's own commands, goes by itself after two minutes without writing.
        """
        if config.online_store.client == RedisClient.redis:
            client = self._get_client(config.online_store)
            if client.dbsize() == 0 or client.exists(_filling(config)):
                client.set(_filling(config), b"", ex=_FILLING_SECONDS)
        super().online_write_batch(config, *batch, **named)

    def mark_filled(self, config: RepoConfig) -> None:
        """All that was to be materialised is there: from now on, who is unknown is.

        The mark stays for as long as a read may take that had begun before.
        """
        if config.online_store.client == RedisClient.redis:
            self._get_client(config.online_store).expire(_filling(config), _READ_SECONDS)

    def reader(self, config: RepoConfig, wanted: Sequence[ViewRequest]) -> RawReader:
        """A function that reads ``wanted`` of n customers.

        A read of a single server takes no longer than ``socket_timeout``, however many answers it consists of; only
        a new connection has time limits of its own. It raises redis-py's errors, and leaves no connection in use
        that has an answer under way. A customer whose key holds something else than features has values of no type,
        and no time.
        """
        names = [_versioned_fv_name(item.view, config) for item in wanted]
        fields: list[str | bytes] = []
        for item, name in zip(wanted, names, strict=True):
            _, hashed = self._generate_hset_keys_for_features(item.view, list(item.fields), name)
            fields += hashed[:-1]
        fields += [f"_ts:{name}" for name in names]
        values = len(fields) - len(names)
        ask = self._asks(config, fields)
        project = config.project.encode()

        def read(customer_ids: Sequence[str]) -> RawColumns:
            keys = [key + project for key in entity_keys(customer_ids)]
            columns = list(zip(*ask(keys), strict=True)) or [()] * len(fields)
            times = [
                [NO_TIME if time is None else _microseconds(time) for time in column] for column in columns[values:]
            ]
            return RawColumns(list(columns[:values]), list(times))

        return read

    def _asks(self, config: RepoConfig, fields: Sequence[str | bytes]) -> Callable[[Sequence[bytes]], Sequence[Reply]]:
        """A function from keys to the replies of one HMGET each."""
        online = config.online_store
        if online.redis_type != RedisType.redis or online.client != RedisClient.redis:
            return lambda keys: self._read_hash_fields(config, [(key, list(fields)) for key in keys])
        head, tail = _packed_around_key("HMGET", fields)

        def ask(keys: Sequence[bytes]) -> list[Reply]:
            pool = self._get_client(online).connection_pool
            budget = Deadline(pool.connection_kwargs.get("socket_timeout"))
            found: list[Reply] = []
            for start in range(0, len(keys), _BATCH):
                batch = keys[start : start + _BATCH]
                commands = [b"%b%d\r\n%b%b" % (head, len(key), key, tail) for key in batch]
                found += execute_pipeline(pool, b"".join(commands), len(batch), len(fields), budget)
            return found

        return ask


def _filling(config: RepoConfig) -> str:
    return f"holdfast:filling:{config.project}"


def _packed_around_key(command: str, arguments: Sequence[str | bytes]) -> tuple[bytes, bytes]:
    """What stands before the length of the key, and after the key, in a packed command of these arguments."""
    parts = [part.encode() if isinstance(part, str) else part for part in (command, *arguments)]
    packed = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"*%d\r\n%b$" % (len(parts) + 1, packed[0]), b"\r\n" + b"".join(packed[1:])


@lru_cache(maxsize=4096)  # all customers of a snapshot have the same
def _microseconds(stored: bytes) -> int:
    try:
        return Timestamp.FromString(stored).ToMicroseconds()
    except (DecodeError, ValueError):  # no timestamp, or one before the year 1 or after 9999
        return NO_TIME
