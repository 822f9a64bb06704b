"""Versions of the feature definitions for tests: files of a version, and changes that make another version."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings

ACTIVITY = "customer_recent_activity"
ADDED = "purchase_days_365d"
REMOVED = "amount_180d"


def version_files(data: Path) -> Path:
    """Return the folder of the only version of the definitions in a data folder."""
    (folder,) = (path for path in (data / "feast" / "versions").iterdir() if path.is_dir())
    return folder


def only_version(data: Path) -> str:
    """Return the id of the only version in a data folder."""
    return version_files(data).name


def registry_file(data: Path, version: str = "") -> Path:
    """Return the registry of a version, by default of the only one."""
    return data / "feast" / "versions" / (version or only_version(data)) / "registry.db"


def online_file(data: Path, version: str = "") -> Path:
    """Return the SQLite store of a version, by default of the only one."""
    return registry_file(data, version).with_name("online_store.db")


def open_only(data: Path) -> Any:
    """Open the feature store of the only version in the data folder of this process."""
    from holdfast.feast_stores.open_store import open_store

    return open_store(definitions=only_version(data))


def materialize_version(settings: Settings, version: str, as_of: datetime, known_at: datetime) -> None:
    """Build the snapshots of a version, write them to its online store and record their parity, as the flow does."""
    from holdfast.core.definition_hashes import feature_fingerprint
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.materialization import materialize
    from holdfast.feature_store.parity import check_parity, save_parity
    from holdfast.feature_store.snapshots import build_snapshots, read_customers

    online = open_store(definitions=version)
    snapshot = build_snapshots(settings, online, as_of, known_at)[0]
    materialize(settings, version, snapshot)
    offline = open_store(snapshot.known_at, definitions=version)
    report = check_parity(online, offline, read_customers(snapshot), as_of)
    save_parity(settings, version, report, snapshot.known_at, feature_fingerprint(online))


def register_changed(change: Callable[[Any], None]) -> str:
    """Change the definitions of the project of feature_store.yaml, and register them as a version; returns its id."""
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.definition_versions import register_version

    store = open_store()
    change(store)
    return register_version(open_store())


def add_feature(store: Any) -> None:
    """Add the purchase days of the last year to the recent activity."""
    import ibis
    from feast import Field
    from feast.types import Int64

    from feature_repo.transformations import recent_activity

    def activity(transactions: Any, as_of: Any) -> Any:
        t = transactions
        recent = (t.amount > 0) & (t.event_timestamp >= as_of - ibis.interval(days=365))
        days = t.group_by("customer_id").aggregate(**{ADDED: t.event_timestamp.date().nunique(where=recent)})
        return recent_activity(transactions, as_of).left_join(days, "customer_id").drop("customer_id_right")

    view = store.get_feature_view(ACTIVITY)
    view.features.append(Field(name=ADDED, dtype=Int64))
    _apply_transformation(store, view, activity)
    service = store.get_feature_service(FEATURE_SERVICE)
    projection = next(item for item in service.feature_view_projections if item.name == ACTIVITY)
    projection.features = [*projection.features, Field(name=ADDED, dtype=Int64)]
    store.registry.apply_feature_service(service, store.project)


def remove_feature(store: Any) -> None:
    """Remove a feature from the feature service."""
    service = store.get_feature_service(FEATURE_SERVICE)
    projection = next(item for item in service.feature_view_projections if item.name == ACTIVITY)
    projection.features = [item for item in projection.features if item.name != REMOVED]
    store.registry.apply_feature_service(service, store.project)


def change_window(store: Any) -> None:
    """Let the windows of the recent activity end 60 days earlier."""
    import ibis

    from feature_repo.transformations import recent_activity

    def activity(transactions: Any, as_of: Any) -> Any:
        return recent_activity(transactions, as_of - ibis.interval(days=60))

    _apply_transformation(store, store.get_feature_view(ACTIVITY), activity)


CHANGES = {"feature added": add_feature, "feature removed": remove_feature, "window changed": change_window}


def _apply_transformation(store: Any, view: Any, build: Callable[..., Any]) -> None:
    from feature_repo.source_tables import transformation_sql
    from tests.support.definition_changes import apply_sql

    apply_sql(store, view, transformation_sql(build))
