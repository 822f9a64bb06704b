"""Configuration of the offline store, with a deferred import of the store; named in ``feature_store.yaml``.

Feast reads this configuration whenever it opens the feature store. The store itself is in another module, so that
processes that only read online features do not import DuckDB and Ibis.
"""

from datetime import datetime
from typing import Any, Literal

from holdfast.feast_stores._feast_imports import FeastConfigBaseModel


class SnapshotOfflineStoreConfig(FeastConfigBaseModel):
    """Configuration of the offline store.

    Attributes:
        known_at: Ignore snapshots of data that arrived later; None reads all snapshots.
    """

    type: Literal["holdfast.feast_stores.offline_store.SnapshotOfflineStore"]
    known_at: datetime | None = None


def __getattr__(name: str) -> Any:
    # Feast looks the store up by its name in the module of its configuration.
    if name == "SnapshotOfflineStore":
        from holdfast.feast_stores.snapshot_offline_store import SnapshotOfflineStore

        return SnapshotOfflineStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
