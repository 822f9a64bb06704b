"""Where the feature views read their snapshots: Parquet, one file per view, ``as_of`` and ``known_at``.

The folder carries the version of the transformations, so that snapshots of two definitions never mix, and a
changed transformation shows in `feast plan`.
"""

from feast import FileSource
from feast.data_format import ParquetFormat

from feature_repo.settings import load_settings
from feature_repo.source_hash import transformations_version


def _snapshots_of(view: str, what: str) -> FileSource:
    return FileSource(
        name=f"{view}_snapshots",
        # Absolute, because Feast resolves a relative path against whichever folder the caller is in.
        path=str(load_settings().snapshots / view / transformations_version()),
        file_format=ParquetFormat(),
        timestamp_field="as_of",
        created_timestamp_column="known_at",
        description=f"Snapshots of {what}: every customer known by as_of, from data that had arrived by known_at.",
        owner="data@holdfast.example",
        tags={"built_by": "flows.features"},
    )


purchase_history_snapshots = _snapshots_of("customer_purchase_history", "lifetime purchase history")
recent_activity_snapshots = _snapshots_of("customer_recent_activity", "activity over 30, 90 and 180 days")
purchase_rhythm_snapshots = _snapshots_of("customer_purchase_rhythm", "the gaps between purchases")
