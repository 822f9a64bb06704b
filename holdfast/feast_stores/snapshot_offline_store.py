"""The offline store: point-in-time joins over folders of snapshots."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import pandas as pd
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, _read_data_source, _write_data_source
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.ibis import (
    get_historical_features_ibis,
    pull_all_from_table_or_query_ibis,
    pull_latest_from_table_or_query_ibis,
)

if TYPE_CHECKING:
    from feast import FeatureView
    from feast.data_source import DataSource
    from feast.infra.offline_stores.offline_store import RetrievalJob
    from feast.repo_config import RepoConfig


class SnapshotOfflineStore(DuckDBOfflineStore):
    """Feast's DuckDB store over folders of snapshots, which can also answer "as known at".

    Feast's ``filter_by_created_timestamp`` compares a row's creation with the event it is joined to. That
    suits rows created live; a backfilled snapshot is created years after the cut-off it describes. Here the
    limit is one time for the whole join.
    """

    def validate_data_source(self, config: "RepoConfig", data_source: "DataSource") -> None:
        """Definitions come before their first snapshots: a folder that is not there yet is no reason to warn."""
        if not isinstance(data_source, FileSource) or Path(data_source.path).exists():
            data_source.validate(config=config)

    @staticmethod
    def get_historical_features(config: "RepoConfig", **kwargs: Any) -> "RetrievalJob":  # type: ignore[override]
        """As Feast's, but over the snapshots known at ``config.offline_store.known_at``.

        Feast reads a view's every snapshot. Only those of the times asked for, less the time to live, can matter.
        """
        span = _span(kwargs["entity_df"], kwargs["feature_views"])
        return get_historical_features_ibis(config=config, **_access(config, span), **kwargs)

    @staticmethod
    def pull_latest_from_table_or_query(  # type: ignore[override]
        config: "RepoConfig", **kwargs: Any
    ) -> "RetrievalJob":
        """As Feast's: what materialisation writes to the online store."""
        return pull_latest_from_table_or_query_ibis(config=config, **_access(config), **kwargs)

    @staticmethod
    def pull_all_from_table_or_query(config: "RepoConfig", **kwargs: Any) -> "RetrievalJob":  # type: ignore[override]
        """As Feast's: every row of a time range."""
        return pull_all_from_table_or_query_ibis(config=config, **_access(config), **kwargs)


def _span(entity_df: Any, views: "list[FeatureView]") -> tuple[datetime, datetime] | None:
    """The first and the last time whose snapshots can matter; None where that cannot be told."""
    if not isinstance(entity_df, pd.DataFrame) or entity_df.empty or "event_timestamp" not in entity_df:
        return None
    limits = [view.ttl for view in views if view.ttl]
    if len(limits) < len(views):  # one without has no end
        return None
    times = pd.to_datetime(entity_df["event_timestamp"], utc=True)
    return (times.min() - max(limits)).to_pydatetime(), times.max().to_pydatetime()


def _access(config: "RepoConfig", span: tuple[datetime, datetime] | None = None) -> dict[str, Any]:
    known_at = config.offline_store.known_at

    def read(source: "DataSource", repo_path: str) -> ibis.Table:
        if not isinstance(source, FileSource):
            return _read_data_source(source, repo_path)
        files = Path(source.path)
        table = ibis.read_parquet(files / "*" / "*.parquet" if files.is_dir() else files)
        if span is not None:
            table = table.filter(table[source.timestamp_field].between(*map(ibis.literal, span)))
        if known_at is None or not source.created_timestamp_column:
            return table
        return table.filter(table[source.created_timestamp_column] <= ibis.literal(known_at))

    return {"data_source_reader": read, "data_source_writer": _write_data_source}
