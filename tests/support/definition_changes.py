"""Changes of definitions in the registry, as by `feast apply` of another repository."""

from pathlib import Path
from typing import Any

from feature_repo.names import FEATURE_SERVICE
from feature_repo.snapshot_view import snapshot_digest
from holdfast.feast_stores.stored_functions import approve_sources


def change_limit(store: Any) -> None:
    view = store.get_feature_view("customer_recent_activity")
    view.ttl = view.ttl * 2
    store.registry.apply_feature_view(view, store.project)


def drop_feature(store: Any) -> None:
    service = store.get_feature_service(FEATURE_SERVICE)
    projection = service.feature_view_projections[1]
    projection.features = projection.features[:-1]
    store.registry.apply_feature_service(service, store.project)


def change_function(store: Any) -> None:
    view = store.get_on_demand_feature_view("customer_request_time")
    transformation = view.feature_transformation
    transformation.udf_string = transformation.udf_string.replace("86_400_000_000", "3_600_000_000")
    approve_sources([transformation.udf_string])  # as if this were the checkout that was changed
    store.registry.apply_feature_view(view, store.project)


def change_window(store: Any, sql: str = "") -> None:
    """Make the window of 30 days one of 45, in the compiled transformation; or set another ``sql``."""
    view = store.get_feature_view("customer_recent_activity")
    before = view.batch_source.tags["sql"]
    sql = sql or before.replace("INTERVAL '30' DAY", "INTERVAL '45' DAY")
    assert sql != before
    apply_sql(store, view, sql)


def apply_sql(store: Any, view: Any, sql: str) -> None:
    """Set the compiled transformation of a view, and the folder of its snapshots."""
    source = view.batch_source
    source.tags = source.tags | {"sql": sql}
    source.file_options.uri = str(Path(source.path).with_name(snapshot_digest(view, sql)))
    store.registry.apply_data_source(source, store.project)
    store.registry.apply_feature_view(view, store.project)
