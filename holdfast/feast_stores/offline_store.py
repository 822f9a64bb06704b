"""The offline store's configuration, and the store as soon as somebody asks for it; named in ``feature_store.yaml``.

Feast reads the configuration of the offline store wherever the feature store is opened. Whoever only reads online
features shall not import DuckDB and Ibis for that, so the store itself is in a module of its own.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from holdfast.feast_stores._feast_imports import FeastConfigBaseModel

if TYPE_CHECKING:
    from holdfast.feast_stores.snapshot_offline_store import SnapshotOfflineStore

__all__ = ["SnapshotOfflineStore", "SnapshotOfflineStoreConfig"]


class SnapshotOfflineStoreConfig(FeastConfigBaseModel):
    """``known_at``: ignore snapshots of data that arrived later."""

    type: Literal["holdfast.feast_stores.offline_store.SnapshotOfflineStore"]
    known_at: datetime | None = None


def __getattr__(name: str) -> Any:
    # Feast takes the store from the module of its configuration, by name.
    if name == "SnapshotOfflineStore":
        from holdfast.feast_stores.snapshot_offline_store import SnapshotOfflineStore

        return SnapshotOfflineStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
