"""Private names of Feast: no other module of the library calls one.

tests/unit/feast_stores/test_feast_private.py has a contract test per name, which fails if a new release of Feast
changes the name. ``OVERRIDDEN`` lists the private methods that subclasses in this package override.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis
    from feast import FeatureView, RepoConfig
    from feast.data_source import DataSource
    from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
    from feast.infra.registry.file import FileRegistryStore

OVERRIDDEN = {
    "feast.infra.registry.file.FileRegistryStore": ["_write_registry"],
    "feast.infra.online_stores.redis.RedisOnlineStore": ["_generate_redis_keys_for_entities", "_get_client"],
    "feast.infra.online_stores.sqlite.SqliteOnlineStore": ["_get_conn", "_get_db_path"],
}


def read_data_source(source: "DataSource", repo_path: str) -> "ibis.Table":
    """Read a data source as Feast's DuckDB store does.

    Args:
        source: Any data source that the store supports.
        repo_path: Folder that relative paths refer to.

    Returns:
        The rows of the source.
    """
    from feast.infra.offline_stores.duckdb import _read_data_source

    return _read_data_source(source, repo_path)


def write_data_source(table: "ibis.Table", source: "DataSource", repo_path: str, *args: Any, **kwargs: Any) -> None:
    """Write a data source as Feast's DuckDB store does.

    Args:
        table: Rows to write.
        source: Data source to write to.
        repo_path: Folder that relative paths refer to.
        *args: Mode and overwrite permission, as Feast passes them.
        **kwargs: As ``args``, by name.
    """
    from feast.infra.offline_stores.duckdb import _write_data_source

    _write_data_source(table, source, repo_path, *args, **kwargs)


def redis_fields(store: "RedisOnlineStore", view: "FeatureView", fields: Sequence[str], view_name: str) -> list[Any]:
    """Compute the names of features within a Redis hash.

    Args:
        store: The online store.
        view: Feature view of the features.
        fields: Names of the features.
        view_name: Name of the view with its version, if Feast versions views.

    Returns:
        Hashed name per feature.
    """
    return list(store._generate_hset_keys_for_features(view, list(fields), view_name)[1][:-1])  # the last is a time


def read_redis_hashes(
    store: "RedisOnlineStore", config: "RepoConfig", keys: Sequence[bytes], fields: Sequence[str | bytes]
) -> Sequence[Sequence[Any]]:
    """Read the same fields of several Redis hashes through Feast's client, in one pipeline.

    Args:
        store: The online store.
        config: Configuration of the feature store.
        keys: Keys of the hashes.
        fields: Fields to read of each.

    Returns:
        Values of the fields per key; None where a field or hash does not exist.
    """
    return store._read_hash_fields(config, [(key, list(fields)) for key in keys])


def redis_client(store: "RedisOnlineStore", config: "RedisOnlineStoreConfig") -> Any:
    """Return the Redis client of the store, opened at the first call.

    Args:
        store: The online store.
        config: Configuration of the online store.

    Returns:
        The client of redis-py.
    """
    return store._get_client(config)


def has_redis_client(store: "RedisOnlineStore") -> bool:
    """Check whether the store has opened its Redis client.

    Args:
        store: The online store.

    Returns:
        True once :func:`redis_client` was called.
    """
    return store._client is not None


def replace_function_loader(load: Callable[..., Callable[..., Any]]) -> None:
    """Replace Feast's function that loads a function from a registry, from its source or from a pickle (dill).

    Args:
        load: Function with the keyword arguments of Feast's, which returns a callable.
    """
    from feast.transformation import udf_rehydrate

    setattr(udf_rehydrate, "resolve_udf", load)  # noqa: B010  mypy forbids to assign a function


def execute_source(source: str, name: str) -> Callable[..., Any] | None:
    """Execute the source of a function in the namespace that Feast gives it.

    Args:
        source: Source of the function.
        name: Name of the function.

    Returns:
        The function; None if the source cannot be executed.
    """
    from feast.transformation.udf_rehydrate import rehydrate_udf_from_source

    return rehydrate_udf_from_source(source, preferred_name=name)


def registry_path(store: "FileRegistryStore") -> Path:
    """Return the path of a registry file.

    Args:
        store: The registry store.

    Returns:
        The path; the file need not exist.
    """
    return store._filepath


def set_registry_path(store: "FileRegistryStore", path: Path) -> None:
    """Change the path of a registry file.

    Args:
        store: The registry store.
        path: The new path.
    """
    store._filepath = path
