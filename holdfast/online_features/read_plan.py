"""Read plan of a feature service: the stored fields to read and the on-demand views to compute."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feature_repo.names import ENTITY_KEY, REQUEST_TIME
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores.raw_values import ViewRequest
from holdfast.models.contract import Feature, declared_features
from holdfast.online_features.value_decoder import VALUE_FIELD_BY_TYPE

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView, Field, OnDemandFeatureView


class UnreadableServiceError(HoldfastError):
    """Feature service that the online reader does not support."""


@dataclass(frozen=True)
class OnDemandComputation:
    """On-demand view, computed at the request.

    Attributes:
        view: The view in the registry.
        sources: Source field to its position in ``ReadPlan.columns``.
        outputs: Position in ``ReadPlan.inputs`` and name of each computed input.
    """

    view: "OnDemandFeatureView"
    sources: dict[str, int]
    outputs: list[tuple[int, str]]


@dataclass(frozen=True)
class ReadPlan:
    """Read plan of a feature service.

    Attributes:
        inputs: Model inputs, in their order.
        requests: Stored views and fields to read.
        columns: Stored features, in the order of ``requests``.
        stored_inputs: Position in ``inputs`` and in ``columns`` of each input that is stored.
        on_demand: On-demand views to compute.
    """

    inputs: list[Feature]
    requests: list[ViewRequest]
    columns: list[Feature]
    stored_inputs: list[tuple[int, int]]
    on_demand: list[OnDemandComputation]


def build_read_plan(store: "FeatureStore", feature_service: str) -> ReadPlan:
    """Build the read plan of a feature service from the cached registry.

    Args:
        store: The feature store.
        feature_service: Name of the feature service.

    Returns:
        The read plan.

    Raises:
        UnreadableServiceError: A view has other keys than the customer, a feature is neither a number nor a text, or an
            on-demand view is not in Python mode over lists of stored features and the request time.
    """
    if store.config.entity_key_serialization_version != 3:
        raise UnreadableServiceError(
            "The online reader supports entity_key_serialization_version 3 only; the configuration has "
            f"{store.config.entity_key_serialization_version}."
        )
    registry, project = store.registry, store.project
    service = registry.get_feature_service(feature_service, project, allow_cache=True)
    inputs: list[Feature] = []
    on_demand: list[OnDemandFeatureView] = []
    stored: dict[str, FeatureView] = {}
    fields: dict[str, dict[str, Feature]] = {}

    def add(projection: Any) -> list[Feature]:
        view: Any = registry.get_any_feature_view(projection.name, project, allow_cache=True)
        features = _features(view.tags, projection.name, projection.features)
        if hasattr(view, "source_feature_view_projections"):
            _require_python_mode(view)
            on_demand.append(view)
        else:
            _require_customer_key(view, projection)
            stored[view.name] = view
            fields.setdefault(view.name, {}).update({feature.name: feature for feature in features})
        return features

    for projection in service.feature_view_projections:
        inputs += add(projection)
    for view in list(on_demand):
        for projection in view.source_feature_view_projections.values():
            add(projection)
    columns = [feature for view in stored for feature in fields[view].values()]
    position = {(feature.view, feature.name): i for i, feature in enumerate(columns)}
    return ReadPlan(
        inputs,
        [ViewRequest(view, tuple(fields[name])) for name, view in stored.items()],
        columns,
        [(i, position[key]) for i, item in enumerate(inputs) if (key := (item.view, item.name)) in position],
        [_on_demand_computation(view, inputs, position) for view in on_demand],
    )


def _on_demand_computation(
    view: "OnDemandFeatureView", inputs: Sequence[Feature], position: dict[tuple[str, str], int]
) -> OnDemandComputation:
    sources = {
        field.name: position[projection.name, field.name]
        for projection in view.source_feature_view_projections.values()
        for field in projection.features
    }
    return OnDemandComputation(
        view, sources, [(i, item.name) for i, item in enumerate(inputs) if item.view == view.name]
    )


def _features(tags: dict[str, str], view: str, fields: Sequence["Field"]) -> list[Feature]:
    features = declared_features(view, fields, tags)
    for feature in features:
        if feature.dtype not in VALUE_FIELD_BY_TYPE:
            raise UnreadableServiceError(
                f"{view}:{feature.name} is a {feature.dtype}; model inputs must be numbers or texts."
            )
    return features


def _require_customer_key(view: "FeatureView", projection: Any) -> None:
    keys = [(column.name, str(column.dtype)) for column in view.entity_columns]
    if keys != [(ENTITY_KEY, "String")] or projection.join_key_map:
        raise UnreadableServiceError(
            f"Feature view {view.name} has the keys {keys}; the online reader supports only {ENTITY_KEY}, a String."
        )


def _require_python_mode(view: "OnDemandFeatureView") -> None:
    fields = {field.name for source in view.source_request_sources.values() for field in source.schema}
    if view.mode != "python" or view.singleton or view.write_to_online_store or view.aggregations:
        raise UnreadableServiceError(
            f"On-demand view {view.name} must be in Python mode over lists and computed at the request."
        )
    if not fields <= {REQUEST_TIME}:
        raise UnreadableServiceError(
            f"On-demand view {view.name} requires the request fields {', '.join(sorted(fields))}; a request has only "
            f"{REQUEST_TIME}."
        )
