"""Offline store: point-in-time joins over folders of snapshots."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import pandas as pd
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.ibis import (
    get_historical_features_ibis,
    pull_all_from_table_or_query_ibis,
    pull_latest_from_table_or_query_ibis,
)
from typing_extensions import override

from holdfast.core.parquet_files import scan_parquet_files
from holdfast.feast_stores._feast_private import read_data_source, write_data_source

if TYPE_CHECKING:
    from feast import FeatureView
    from feast.data_source import DataSource
    from feast.infra.offline_stores.offline_store import RetrievalJob
    from feast.repo_config import RepoConfig


class SnapshotOfflineStore(DuckDBOfflineStore):
    """Feast's DuckDB store over folders of snapshots, with one ``known_at`` per join.

    Feast's ``filter_by_created_timestamp`` compares the creation time of a row with the event to which the row is
    joined. This suits rows that are created live, but a backfilled snapshot is created years after its cut-off.
    """

    @override
    def validate_data_source(self, config: "RepoConfig", data_source: "DataSource") -> None:
        """Validate an existing source: definitions are applied before the first snapshot; overrides Feast's method."""
        if not isinstance(data_source, FileSource) or Path(data_source.path).exists():
            data_source.validate(config=config)

    @override
    @staticmethod
    def get_historical_features(config: "RepoConfig", **kwargs: Any) -> "RetrievalJob":  # type: ignore[override]
        """Join the snapshots known at ``config.offline_store.known_at``; overrides Feast's method.

        Feast reads all snapshots of a view. This method reads only those in the range of the requested times and the
        time to live before.
        """
        span = _span(kwargs["entity_df"], kwargs["feature_views"])
        return get_historical_features_ibis(config=config, **_access(config, span), **kwargs)

    @override
    @staticmethod
    def pull_latest_from_table_or_query(  # type: ignore[override]
        config: "RepoConfig", **kwargs: Any
    ) -> "RetrievalJob":
        """Read the rows that a materialization writes; overrides Feast's method."""
        return pull_latest_from_table_or_query_ibis(config=config, **_access(config), **kwargs)

    @override
    @staticmethod
    def pull_all_from_table_or_query(config: "RepoConfig", **kwargs: Any) -> "RetrievalJob":  # type: ignore[override]
        """Read all rows of a time range; overrides Feast's method."""
        return pull_all_from_table_or_query_ibis(config=config, **_access(config), **kwargs)


def _span(entity_df: Any, views: "list[FeatureView]") -> tuple[datetime, datetime] | None:
    """Return the range of the snapshots that a join can use, or None for all snapshots."""
    if not isinstance(entity_df, pd.DataFrame) or entity_df.empty or "event_timestamp" not in entity_df:
        return None
    limits = [view.ttl for view in views if view.ttl]
    if len(limits) < len(views):  # a view without a time to live has no limit
        return None
    times = pd.to_datetime(entity_df["event_timestamp"], utc=True)
    return (times.min() - max(limits)).to_pydatetime(), times.max().to_pydatetime()


def _access(config: "RepoConfig", span: tuple[datetime, datetime] | None = None) -> dict[str, Any]:
    known_at = config.offline_store.known_at

    def read(source: "DataSource", repo_path: str) -> ibis.Table:
        if not isinstance(source, FileSource):
            return read_data_source(source, repo_path)
        path = Path(source.path)
        files = sorted(path.glob("*/*.parquet")) if path.is_dir() else [path]
        table = scan_parquet_files(ibis.get_backend(), files)
        if span is not None:
            table = table.filter(table[source.timestamp_field].between(*map(ibis.literal, span)))
        if known_at is None or not source.created_timestamp_column:
            return table
        return table.filter(table[source.created_timestamp_column] <= ibis.literal(known_at))

    return {"data_source_reader": read, "data_source_writer": write_data_source}
