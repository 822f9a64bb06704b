"""Fingerprint of feature and label definitions: one hash per part."""

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from feature_repo.names import FEATURE_SERVICE
from feature_repo.source_hash import module_source, sha256, strip_formatting

if TYPE_CHECKING:
    from feast import FeatureStore

# Tags of a feature view that list names of its fields.
DECLARATION_TAGS = ("nullable", "increasing", "log_odds")


def fingerprint(store: "FeatureStore", horizon_days: int, activity_days: int) -> dict[str, str]:
    """Compute the SHA-256 of each part of the definitions of the model's inputs and label.

    ``feature_service``, ``on_demand`` and ``transformations`` come from the registry, whose definitions have produced
    the values in the online store (the folder of a snapshot source is named after the transformations). ``labels``
    comes from the source code. Other feature views, comments, docstrings and layout have no effect.

    Args:
        store: The feature store.
        horizon_days: Days without a purchase that define churn.
        activity_days: Days with a purchase that define an active customer.

    Returns:
        Part to SHA-256.
    """
    from feast import OnDemandFeatureView

    service = store.get_feature_service(FEATURE_SERVICE)
    views, on_demand, stored = [], [], set()
    for projection in service.feature_view_projections:
        view = store.registry.get_any_feature_view(projection.name, store.project)
        views.append([projection.name, [[field.name, str(field.dtype)] for field in projection.features]])
        if isinstance(view, OnDemandFeatureView):
            assert view.feature_transformation is not None
            on_demand += [strip_formatting(view.feature_transformation.udf_string), *_declarations(view)]
            stored |= set(view.source_feature_view_projections)
        else:
            stored.add(projection.name)
    used = [view for view in store.list_feature_views() if view.name in stored]
    limits = {view.name: [sorted(view.entities), *_declarations(view), str(view.ttl)] for view in used}
    versions = {PurePath(str(getattr(view.batch_source, "path", ""))).name for view in used}
    return {
        "feature_service": sha256(json.dumps([service.name, views, sorted(limits.items())])),
        "on_demand": sha256("\n".join(on_demand)),
        "transformations": sha256(" ".join(sorted(versions))),
        "labels": sha256(f"{module_source('labels')}\n{horizon_days=} {activity_days=}"),
    }


def differing_parts(expected: dict[str, str], actual: dict[str, str]) -> list[str]:
    """List the parts in which two fingerprints differ.

    Args:
        expected: One fingerprint.
        actual: The other fingerprint.

    Returns:
        Names of the parts, sorted.
    """
    return sorted(part for part in expected.keys() | actual.keys() if expected.get(part) != actual.get(part))


def _declarations(view: Any) -> list[str]:
    return [view.tags.get(tag, "") for tag in DECLARATION_TAGS]
