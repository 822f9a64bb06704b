"""Fingerprint of the feature definitions in Feast's registry, and the id of their version."""

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from feature_repo.names import FEATURE_SERVICE
from feature_repo.source_hash import sha256, strip_formatting

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView, OnDemandFeatureView

# Tags of a feature view that list names of its fields.
DECLARATION_TAGS = ("nullable", "increasing", "log_odds")


def feature_fingerprint(store: "FeatureStore") -> dict[str, str]:
    """Compute the SHA-256 of each part of the definitions of the model's inputs in Feast's registry.

    The folder of a snapshot source is named after its transformation. Other feature views, comments, docstrings and
    layout have no effect.

    Args:
        store: The feature store.

    Returns:
        ``feature_service``, ``on_demand`` and ``transformations`` to SHA-256.
    """
    service = store.get_feature_service(FEATURE_SERVICE)
    views = [
        [projection.name, [[field.name, str(field.dtype)] for field in projection.features]]
        for projection in service.feature_view_projections
    ]
    on_demand: list[str] = []
    for view in list_on_demand_views(store):
        assert view.feature_transformation is not None
        on_demand += [strip_formatting(view.feature_transformation.udf_string), *_declarations(view)]
    used = list_stored_views(store)
    limits = {view.name: [sorted(view.entities), *_declarations(view), str(view.ttl)] for view in used}
    versions = {PurePath(str(getattr(view.batch_source, "path", ""))).name for view in used}
    return {
        "feature_service": sha256(json.dumps([service.name, views, sorted(limits.items())])),
        "on_demand": sha256("\n".join(on_demand)),
        "transformations": sha256(" ".join(sorted(versions))),
    }


def list_on_demand_views(store: "FeatureStore") -> "list[OnDemandFeatureView]":
    """List the on-demand views of the feature service.

    Args:
        store: The feature store.

    Returns:
        Views in the order of the feature service.
    """
    names = [item.name for item in store.get_feature_service(FEATURE_SERVICE).feature_view_projections]
    views = {view.name: view for view in store.list_on_demand_feature_views()}
    return [views[name] for name in names if name in views]


def list_stored_views(store: "FeatureStore") -> "list[FeatureView]":
    """List the stored views that a version needs: those that the service reads, and those that define slices only.

    Args:
        store: The feature store.

    Returns:
        Views in the order of their names.
    """
    names = {item.name for item in store.get_feature_service(FEATURE_SERVICE).feature_view_projections}
    for view in list_on_demand_views(store):
        names |= {projection.name for projection in view.source_feature_view_projections.values()}
    needed = [view for view in store.list_feature_views() if view.name in names or view.tags.get("slice_only")]
    return sorted(needed, key=lambda view: view.name)


def without_label(parts: dict[str, str]) -> dict[str, str]:
    """Select the parts of a fingerprint that define the model inputs.

    Args:
        parts: Part of the definitions to its digest.

    Returns:
        Parts without the label.
    """
    return {part: value for part, value in parts.items() if part != "labels"}


def definitions_version(parts: dict[str, str]) -> str:
    """Compute the id of the version of the feature definitions that a fingerprint describes.

    Models with the same inputs share a version, whatever their labels are.

    Args:
        parts: Fingerprint, with or without the label.

    Returns:
        12 hexadecimal digits.
    """
    return sha256(json.dumps(without_label(parts), sort_keys=True))[:12]


def _declarations(view: Any) -> list[str]:
    return [view.tags.get(tag, "") for tag in DECLARATION_TAGS]
