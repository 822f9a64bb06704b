"""What to read and to compute for a feature service, worked out once from Feast's registry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feature_repo.names import ENTITY_KEY, REQUEST_TIME
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores.raw_values import ViewRequest
from holdfast.models.contract import Feature
from holdfast.online_features.value_decoder import VALUE_FIELD_BY_TYPE

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView, Field, OnDemandFeatureView


class UnreadableServiceError(HoldfastError):
    """The feature service holds something that the online reader does not read."""


@dataclass(frozen=True)
class OnDemandComputation:
    """A view computed at the request. ``outputs`` has the position among the inputs, and the name, of each."""

    view: "OnDemandFeatureView"
    sources: dict[str, int]
    outputs: list[tuple[int, str]]


@dataclass(frozen=True)
class ReadPlan:
    """``columns`` are the stored features, in the order of ``wanted``; positions elsewhere refer to them.

    ``stored_inputs`` has the position among the inputs, and among the columns, of each input that is stored.
    """

    inputs: list[Feature]
    wanted: list[ViewRequest]
    columns: list[Feature]
    stored_inputs: list[tuple[int, int]]
    on_demand: list[OnDemandComputation]


def build_read_plan(store: "FeatureStore", feature_service: str) -> ReadPlan:
    """The plan of a feature service, from the registry as it is in memory.

    Raises:
        UnreadableServiceError: A view is not of the customer alone, a feature is no number, or an on-demand view
            is not in Python mode over lists of stored features and the request's time.
    """
    if store.config.entity_key_serialization_version != 3:
        raise UnreadableServiceError("The online reader writes entity keys of version 3, the configuration another.")
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
            _require_python(view)
            on_demand.append(view)
        else:
            _require_of_customer(view, projection)
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
        [_on_demand(view, inputs, position) for view in on_demand],
    )


def _on_demand(
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
    nullable = tags.get("nullable", "").split(",")
    features = [Feature(view, field.name, str(field.dtype), field.name in nullable) for field in fields]
    for feature in features:
        if feature.dtype not in VALUE_FIELD_BY_TYPE:
            raise UnreadableServiceError(f"{view}:{feature.name} is a {feature.dtype}; a model reads numbers.")
    return features


def _require_of_customer(view: "FeatureView", projection: Any) -> None:
    keys = [(column.name, str(column.dtype)) for column in view.entity_columns]
    if keys != [(ENTITY_KEY, "String")] or projection.join_key_map:
        raise UnreadableServiceError(
            f"Feature view {view.name} has the keys {keys}; the online reader looks up one, {ENTITY_KEY}, a String."
        )


def _require_python(view: "OnDemandFeatureView") -> None:
    asked = {field.name for source in view.source_request_sources.values() for field in source.schema}
    if view.mode != "python" or view.singleton or view.write_to_online_store or view.aggregations:
        raise UnreadableServiceError(
            f"On-demand view {view.name} is not in Python mode over lists, computed at the request."
        )
    if not asked <= {REQUEST_TIME}:
        raise UnreadableServiceError(
            f"On-demand view {view.name} asks the request for {', '.join(sorted(asked))}; it has only {REQUEST_TIME}."
        )
