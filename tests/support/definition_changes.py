"""Changes of definitions in the registry, as by `feast apply` of another repository."""

from typing import Any

from feature_repo.names import FEATURE_SERVICE


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
    store.registry.apply_feature_view(view, store.project)
