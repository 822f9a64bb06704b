"""Feast's Redis online store with reads in one round trip; named in ``feature_store.redis.yaml``."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

from feast import FeatureView
from feast.infra.online_stores.helpers import compute_versioned_name
from feast.infra.online_stores.redis import RedisClient, RedisOnlineStore, RedisOnlineStoreConfig, RedisType
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import Field, field_validator
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry
from typing_extensions import override

from feature_repo.store_addresses import describe_redis_protection, require_protected
from feature_repo.timestamps import NO_TIME
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores._feast_imports import RepoConfig
from holdfast.feast_stores._feast_private import has_redis_client, read_redis_hashes, redis_client, redis_fields
from holdfast.feast_stores.installation import stored_project
from holdfast.feast_stores.raw_values import RawColumns, RawReader, ViewRequest, ViewRows, entity_keys
from holdfast.feast_stores.redis_fill_mark import is_filled, mark_filled, remove_mark
from holdfast.feast_stores.redis_pipeline import hash_reader
from holdfast.feast_stores.redis_writer import write_view
from holdfast.feast_stores.settings import FeatureStoreSettings

_LIMIT_SECONDS = 1.0  # without a limit, a server that hangs would block each caller


class ConnectionStringError(HoldfastError):
    """Invalid connection string. The message does not quote the string, which may contain a password."""


class SingleRoundTripRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Options of Feast's Redis store; the connection string is read from ``HOLDFAST_REDIS`` and has time limits.

    Example: ``redis.internal:6379,db=1,password=secret,ssl=true,socket_timeout=0.2``. Feast parses each option as JSON
    if possible: a password like ``1e5`` is written ``password="1e5"``. No option may contain a comma.

    Attributes:
        fast_reads: Read a single server with packed commands (``redis_pipeline``) instead of Feast's pipeline.
    """

    type: Literal[  # type: ignore[assignment]
        "holdfast.feast_stores.redis_online_store.SingleRoundTripRedisOnlineStore"
    ]
    connection_string: str = Field(
        default_factory=lambda: FeatureStoreSettings.from_environment().redis, validate_default=True
    )
    fast_reads: bool = True

    @field_validator("connection_string")
    @classmethod
    def _with_limits(cls, value: str) -> str:
        return _time_limits(_LIMIT_SECONDS) + value

    def limit_read_time(self, seconds: float) -> None:
        """Limit the time of a read, unless the connection string has its own limits.

        Args:
            seconds: The limit.
        """
        default = _time_limits(_LIMIT_SECONDS)
        self.connection_string = _time_limits(seconds) + self.connection_string.removeprefix(default)


def _time_limits(seconds: float) -> str:
    """Format the limits as the beginning of a connection string, where later options override them."""
    return f"socket_connect_timeout={seconds},socket_timeout={seconds},"


class SingleRoundTripRedisOnlineStore(RedisOnlineStore):
    """Feast's Redis online store, with the same bytes, and one HMGET per customer for the fields of all views.

    The project in a key names the installation too (``installation``).
    """

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        new = not has_redis_client(self)
        if "://" in online_store_config.connection_string:  # the error of a validator would quote the string
            raise ConnectionStringError("HOLDFAST_REDIS is a URL. Write it like host:6379,password=secret,ssl=true.")
        require_protected(describe_redis_protection(online_store_config.connection_string), "HOLDFAST_REDIS")
        client = super()._get_client(online_store_config)
        if new and online_store_config.redis_type == RedisType.redis:
            # By default redis-py retries for seconds, and repeats a read that has timed out.
            client.set_retry(Retry(NoBackoff(), 1, (ConnectionError,)))
        return client

    def is_empty(self, config: RepoConfig) -> bool:
        """Check whether the server lacks values of the project: it lost its data, or is being filled.

        Args:
            config: Configuration of the feature store.

        Returns:
            True if an unknown customer may be known after the materialization; False also without permission to check.

        Raises:
            RedisError: The server does not reply.
        """
        if config.online_store.client != RedisClient.redis:
            return False
        return not is_filled(redis_client(self, config.online_store), stored_project(config))

    def mark_filled(self, config: RepoConfig) -> None:
        """Mark the first materialization of the project as complete: from now on, a customer without a key is unknown.

        The mark is lost with the data of the server.

        Args:
            config: Configuration of the feature store.
        """
        if config.online_store.client == RedisClient.redis:
            mark_filled(redis_client(self, config.online_store), stored_project(config))

    @override
    def update(self, config: RepoConfig, tables_to_delete: Sequence[FeatureView], *args: Any, **kwargs: Any) -> None:
        """Delete the values of views, after the mark of :meth:`mark_filled`; overrides Feast's method."""
        if tables_to_delete:
            self._remove_mark(config)
        super().update(config, tables_to_delete, *args, **kwargs)

    @override
    def teardown(self, config: RepoConfig, *args: Any, **kwargs: Any) -> None:
        """Delete all values of the project, after the mark of :meth:`mark_filled`; overrides Feast's method."""
        self._remove_mark(config)
        super().teardown(config, *args, **kwargs)

    @override
    def delete_table(self, config: RepoConfig, table: FeatureView) -> None:
        """Delete the values of a view; overrides Feast's method."""
        super().delete_table(_with_installation(config), table)

    @override
    def delete_entity_values(self, config: RepoConfig, join_keys: list[str]) -> None:
        """Delete the values of all views of an entity; overrides Feast's method."""
        super().delete_entity_values(_with_installation(config), join_keys)

    @override
    def online_write_batch(self, config: RepoConfig, *args: Any, **kwargs: Any) -> None:
        """Write values; overrides Feast's method."""
        super().online_write_batch(_with_installation(config), *args, **kwargs)

    @override
    async def online_write_batch_async(self, config: RepoConfig, *args: Any, **kwargs: Any) -> None:
        """Write values; overrides Feast's method."""
        await super().online_write_batch_async(_with_installation(config), *args, **kwargs)

    def _generate_redis_keys_for_entities(self, config: RepoConfig, *args: Any, **kwargs: Any) -> list[bytes]:
        return super()._generate_redis_keys_for_entities(_with_installation(config), *args, **kwargs)

    def _remove_mark(self, config: RepoConfig) -> None:
        if config.online_store.client == RedisClient.redis:
            remove_mark(redis_client(self, config.online_store), stored_project(config))

    def writes_columns(self, config: RepoConfig) -> bool:
        """Check whether :meth:`write_columns` supports the server: a single one, through redis-py.

        Args:
            config: Configuration of the feature store.

        Returns:
            False where Feast's own engine writes.
        """
        return _has_packed_commands(config.online_store)

    def write_columns(self, config: RepoConfig, rows: ViewRows) -> None:
        """Set the values of a view, except those of customers with a later event time.

        Args:
            config: Configuration of the feature store.
            rows: Rows of the view.
        """
        name = compute_versioned_name(rows.view, config.registry.enable_online_feature_view_versioning)
        write_view(
            lambda: redis_client(self, config.online_store).connection_pool,
            rows,
            stored_project(config),
            redis_fields(self, rows.view, [field.name for field in rows.view.features], name),
            f"_ts:{name}",
            _parse_time,
            config.online_store.key_ttl_seconds,
        )

    def reader(self, config: RepoConfig, requests: Sequence[ViewRequest]) -> RawReader:
        """Create a reader of several views.

        The reader raises the errors of redis-py. With ``fast_reads``, a read of a single server takes no longer than
        ``socket_timeout``, however many replies it needs (a new connection has time limits in addition), and a
        customer whose key is not a hash has values of no type and no event time.

        Args:
            config: Configuration of the feature store.
            requests: Views and fields to read.

        Returns:
            The reader.
        """
        versioned = config.registry.enable_online_feature_view_versioning
        names = [compute_versioned_name(request.view, versioned) for request in requests]
        fields: list[str | bytes] = []
        for request, name in zip(requests, names, strict=True):
            fields += redis_fields(self, request.view, request.fields, name)
        value_count = len(fields)
        fields += [f"_ts:{name}" for name in names]
        online, project = config.online_store, stored_project(config).encode()
        if online.fast_reads and _has_packed_commands(online):
            start_hashes = hash_reader(lambda: redis_client(self, online).connection_pool, fields)
        else:
            start_hashes = lambda keys: lambda: list(read_redis_hashes(self, config, keys, fields))  # noqa: E731

        def start(customer_ids: Sequence[str]) -> Callable[[], RawColumns]:
            receive = start_hashes([key + project for key in entity_keys(customer_ids)])

            def finish() -> RawColumns:
                columns = list(zip(*receive(), strict=True)) or [()] * len(fields)
                times = [
                    [NO_TIME if time is None else _parse_time(time) for time in column]
                    for column in columns[value_count:]
                ]
                return RawColumns(list(columns[:value_count]), list(times))

            return finish

        return RawReader(start)


def _with_installation(config: RepoConfig) -> RepoConfig:
    return config.model_copy(update={"project": stored_project(config)})


def _has_packed_commands(online: RedisOnlineStoreConfig) -> bool:
    return bool(online.redis_type == RedisType.redis and online.client == RedisClient.redis)


@lru_cache(maxsize=4096)  # all customers of a snapshot have the same time
def _parse_time(stored: bytes) -> int:
    try:
        return Timestamp.FromString(stored).ToMicroseconds()
    except (DecodeError, ValueError):  # not a timestamp, or a year before 1 or after 9999
        return NO_TIME
