"""Checks of feature definitions that Feast registers, and that cannot be joined, stored or served."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from feast import Entity, FeatureService, OnDemandFeatureView
from feast.base_feature_view import BaseFeatureView
from feast.feature_view import DUMMY_ENTITY

from feature_repo.names import ENTITY_KEY, REQUEST_TIME
from holdfast.core.errors import HoldfastError

# Columns of a snapshot, of the rows that features are joined to, and of Feast's join.
RESERVED_NAMES = (ENTITY_KEY, "as_of", "known_at", "event_timestamp", REQUEST_TIME, "entity_row_id", "__log_date")

_REMEDY = (
    "Rename the feature in feature_repo: in feature_views.py and transformations.py, or in on_demand_feature_views.py."
)


class EntityKeyError(HoldfastError):
    """Entity with another key than the transformations and the service have."""


class FeatureNameError(HoldfastError):
    """Feature whose name another feature, or a column beside the features, has."""


def check_definitions(
    entities: Iterable[Entity], views: Sequence[BaseFeatureView], services: Iterable[FeatureService]
) -> None:
    """Check the key of the entities and the names of the features.

    A join gives one column per name, and DuckDB ignores the case of names.

    Args:
        entities: Entities.
        views: Stored and on-demand views.
        services: Feature services that read the views.

    Raises:
        EntityKeyError: An entity has another key than customer_id.
        FeatureNameError: Two views, or two features that are read together, have the same name but for case, or a
            feature has the name of a column beside the features.
    """
    for entity in entities:
        if entity.name != DUMMY_ENTITY.name and entity.join_key != ENTITY_KEY:
            raise EntityKeyError(
                f"The entity {entity.name} in feature_repo/entities.py has the join key {entity.join_key}; it must be "
                f"{ENTITY_KEY}, the column of the ingested data and the field of requests. Restore it; to read another "
                "column of a file, change customer_id in the mapping of `python -m flows.ingest`."
            )
    names: dict[str, str] = {}
    for view in views:
        if other := names.get(view.name.lower()):
            raise FeatureNameError(
                f"Two feature views have the name {view.name}{f' or {other}' if other != view.name else ''}; upper and "
                "lower case count as equal. Rename one in feature_repo."
            )
        names[view.name.lower()] = view.name
        _require_distinct(f"The feature view {view.name} has", [(view.name, field.name) for field in view.features])
    for service in services:
        read = list(dict.fromkeys(_read_features(service, views)))
        _require_distinct(f"The feature service {service.name} reads", read)


def _read_features(service: FeatureService, views: Sequence[BaseFeatureView]) -> Iterator[tuple[str, str]]:
    """Yield view and name of what a service reads: its inputs, and the sources of its on-demand views."""
    by_name: dict[str, Any] = {view.name: view for view in views}
    for projection in service.feature_view_projections:
        yield from _projected(projection)
        view = by_name.get(projection.name)
        if isinstance(view, OnDemandFeatureView):
            for source in view.source_feature_view_projections.values():
                yield from _projected(source)


def _projected(projection: Any) -> Iterator[tuple[str, str]]:
    return ((projection.name, field.name) for field in projection.features)


def _require_distinct(reader: str, features: Iterable[tuple[str, str]]) -> None:
    first: dict[str, str] = {}
    for view, name in features:
        folded, reference = name.lower(), f"{view}:{name}"
        if folded in RESERVED_NAMES:
            raise FeatureNameError(
                f"{reader} {reference}, but {folded} is the name of a column beside the features. {_REMEDY}"
            )
        if folded in first:
            raise FeatureNameError(
                f"{reader} two features of one name, {first[folded]} and {reference}; upper and lower case count as "
                f"equal. {_REMEDY}"
            )
        first[folded] = reference
