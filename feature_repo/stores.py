"""Feast's own stores with what Holdfast adds to them; named in ``feature_store.yaml``."""

import os
import sqlite3
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import ibis
from feast.infra.offline_stores.duckdb import (
    DuckDBOfflineStore,
    DuckDBOfflineStoreConfig,
    _read_data_source,
    _write_data_source,
)
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.ibis import (
    get_historical_features_ibis,
    pull_all_from_table_or_query_ibis,
    pull_latest_from_table_or_query_ibis,
)
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.infra.registry.file import FileRegistryStore
from feast.repo_config import RegistryConfig, RepoConfig, load_repo_config
from pydantic import field_validator

from feature_repo.settings import load_settings

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.data_source import DataSource
    from feast.infra.offline_stores.offline_store import RetrievalJob
    from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto
    from google.protobuf.message import Message

REPO = Path(__file__).resolve().parent
_STATE_FOLDER = "${HOLDFAST_DATA}"

# Importing Feast turns on the deprecation warnings of every library; Python's default is off.
warnings.simplefilter("ignore", DeprecationWarning)
warnings.filterwarnings("ignore", message="On demand feature view is an experimental feature")


def open_store(known_at: datetime | None = None) -> "FeatureStore":
    """The feature store of this repository, as ``feature_store.yaml`` configures it.

    ``FEAST_FS_YAML_FILE_PATH``, Feast's own variable, names another configuration. With ``known_at``,
    point-in-time joins see only snapshots of data that had arrived by then.
    """
    from feast import FeatureStore

    path = Path(os.environ.get("FEAST_FS_YAML_FILE_PATH") or REPO / "feature_store.yaml")
    config = load_repo_config(REPO, path)
    if known_at is not None:
        config.offline_store.known_at = known_at
    # Else every read fails while a materialisation runs, and after a killed one until the next. The same option
    # in feature_store.yaml works as well, but warns at each command that a file registry has no use for it.
    config.registry.serve_features_while_materializing = True
    return FeatureStore(config=config)


class StateFolderRegistryStore(FileRegistryStore):
    """Feast's registry file, in the state folder, replaced as a whole: nobody ever meets half of one.

    Paths under the state folder are kept relative to it. With absolute paths, `feast apply` in a copy of the
    folder would drop the tables of the original.
    """

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        super().__init__(registry_config, load_settings().data)

    def get_registry_proto(self) -> "RegistryProto":
        """The registry, its paths under the state folder as it is now."""
        registry_proto = super().get_registry_proto()
        _replace_prefix(registry_proto, _STATE_FOLDER, str(load_settings().data))
        return registry_proto

    def _write_registry(self, registry_proto: "RegistryProto") -> None:
        stored = type(registry_proto)()
        stored.CopyFrom(registry_proto)
        _replace_prefix(stored, str(load_settings().data), _STATE_FOLDER)
        target = self._filepath
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".registry-") as folder:
            self._filepath = Path(folder) / target.name
            try:
                super()._write_registry(stored)
                self._filepath.replace(target)
            finally:
                self._filepath = target
        registry_proto.version_id = stored.version_id
        registry_proto.last_updated.CopyFrom(stored.last_updated)


def _replace_prefix(message: "Message", old: str, new: str) -> None:
    """In every string of ``message`` that is a path under ``old``, put ``new`` in its place."""
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            for item in value.values():
                if not isinstance(item, str):  # tags hold no paths
                    _replace_prefix(item, old, new)
        elif field.message_type:
            for item in value if field.is_repeated else [value]:
                _replace_prefix(item, old, new)
        elif isinstance(value, str) and value.startswith(f"{old}/"):
            setattr(message, field.name, f"{new}{value.removeprefix(old)}")


def _epoch_seconds(time: datetime) -> int:
    return int(time.replace(tzinfo=time.tzinfo or UTC).timestamp())


def _naive_utc(seconds: bytes) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)


# Feast hands SQLite naive UTC times and converts them as local ones: a store written in one time zone and read
# in another would be hours older or younger than it is.
sqlite3.register_adapter(datetime, _epoch_seconds)
sqlite3.register_converter("timestamp", _naive_utc)


class StateFolderSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """SQLite's own options; ``path`` is relative to the state folder."""

    type: str = "sqlite"  # type: ignore[assignment]

    @field_validator("type")
    @classmethod
    def _stays_sqlite(cls, value: str) -> str:
        # Feast plans (and says "No changes") only for a store whose type is "sqlite".
        return "sqlite"


class StateFolderSqliteOnlineStore(SqliteOnlineStore):
    """Feast's SQLite online store, in the state folder.

    Its path has one spelling, whoever asks: given two for one file, Feast's plan drops the tables of the first.
    """

    @staticmethod
    def _get_db_path(config: RepoConfig) -> str:
        path = load_settings().data / config.online_store.path
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)


class SnapshotOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """DuckDB's own options, and ``known_at``: ignore snapshots of data that arrived later."""

    type: Literal["feature_repo.stores.SnapshotOfflineStore"]
    known_at: datetime | None = None


class SnapshotOfflineStore(DuckDBOfflineStore):
    """Feast's DuckDB store over folders of snapshots, which can also answer "as known at".

    Feast's ``filter_by_created_timestamp`` compares a row's creation with the event it is joined to. That
    suits rows created live; a backfilled snapshot is created years after the cut-off it describes. Here the
    limit is one time for the whole join.
    """

    def validate_data_source(self, config: RepoConfig, data_source: "DataSource") -> None:
        """Definitions come before their first snapshots: a folder that is not there yet is no reason to warn."""
        if not isinstance(data_source, FileSource) or Path(data_source.path).exists():
            data_source.validate(config=config)

    @staticmethod
    def get_historical_features(config: RepoConfig, **kwargs: Any) -> "RetrievalJob":  # type: ignore[override]
        """As Feast's, but over the snapshots known at ``config.offline_store.known_at``."""
        return get_historical_features_ibis(config=config, **_access(config), **kwargs)

    @staticmethod
    def pull_latest_from_table_or_query(config: RepoConfig, **kwargs: Any) -> "RetrievalJob":  # type: ignore[override]
        """As Feast's: what materialisation writes to the online store."""
        return pull_latest_from_table_or_query_ibis(config=config, **_access(config), **kwargs)

    @staticmethod
    def pull_all_from_table_or_query(config: RepoConfig, **kwargs: Any) -> "RetrievalJob":  # type: ignore[override]
        """As Feast's: every row of a time range."""
        return pull_all_from_table_or_query_ibis(config=config, **_access(config), **kwargs)


def _access(config: RepoConfig) -> dict[str, Any]:
    known_at = config.offline_store.known_at

    def read(source: "DataSource", repo_path: str) -> ibis.Table:
        if not isinstance(source, FileSource):
            return _read_data_source(source, repo_path)
        files = Path(source.path)
        table = ibis.read_parquet(files / "*" / "*.parquet" if files.is_dir() else files)
        if known_at is None or not source.created_timestamp_column:
            return table
        return table.filter(table[source.created_timestamp_column] <= ibis.literal(known_at))

    return {"data_source_reader": read, "data_source_writer": _write_data_source}
