"""Snapshot sources of the feature views: one Parquet file per view, ``as_of`` and ``known_at``.

The tag ``sql`` holds the compiled transformation. The view names the folder (see ``feature_repo.snapshot_view``).
"""

from collections.abc import Callable

import ibis.expr.types as ir
from feast import FileSource
from feast.data_format import ParquetFormat

from feature_repo.settings import Settings
from feature_repo.source_tables import transformation_sql
from feature_repo.subscriptions import subscription_features
from feature_repo.transformations import BUILDERS


def _snapshot_source(view: str, content: str, build: Callable[..., ir.Table] | None = None) -> FileSource:
    return FileSource(
        name=f"{view}_snapshots",
        # Absolute, because Feast resolves a relative path against the current folder.
        path=str(Settings.from_environment().snapshots / view / "unnamed"),
        file_format=ParquetFormat(),
        timestamp_field="as_of",
        created_timestamp_column="known_at",
        description=f"Snapshots of {content}: every customer known by as_of, from data that had arrived by known_at.",
        owner="data@holdfast.example",
        tags={"built_by": "flows.features", "sql": transformation_sql(build or BUILDERS[view])},
    )


purchase_history_snapshots = _snapshot_source("customer_purchase_history", "the purchase history")
recent_activity_snapshots = _snapshot_source("customer_recent_activity", "activity over 30, 90 and 180 days")
purchase_rhythm_snapshots = _snapshot_source("customer_purchase_rhythm", "the gaps between purchases")
subscription_snapshots = _snapshot_source(
    "customer_subscription", "the subscriptions with an end", subscription_features
)
