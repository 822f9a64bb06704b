"""Differences of feature definitions as text: views, fields, SQL, functions and the inputs of a model."""

import difflib
from collections.abc import Iterable, Mapping

from feast import FeatureService, FeatureStore, FeatureView, OnDemandFeatureView
from feast.repo_contents import RepoContents

_CONTEXT_LINES = 2


def describe_definitions(store: FeatureStore) -> dict[str, list[str]]:
    """Describe the definitions in Feast's registry.

    Args:
        store: Feast store of a project.

    Returns:
        Kind and name of each object to its lines.
    """
    return _describe(store.list_feature_views(), store.list_on_demand_feature_views(), store.list_feature_services())


def describe_contents(contents: RepoContents) -> dict[str, list[str]]:
    """Describe the definitions of this checkout.

    Args:
        contents: Feast objects by type.

    Returns:
        Kind and name of each object to its lines.
    """
    return _describe(contents.feature_views, contents.on_demand_feature_views, contents.feature_services)


def diff_definitions(old: Mapping[str, list[str]], new: Mapping[str, list[str]]) -> list[str]:
    """Compare two descriptions.

    Args:
        old: Description of the registered definitions.
        new: Description of the changed definitions.

    Returns:
        Lines: the changed objects, each with its removed (``-``) and added (``+``) lines; empty without a difference.
    """
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name, []), new.get(name, [])
        if before == after:
            continue
        change = "changed" if name in old and name in new else "added" if name in new else "removed"
        differences = list(difflib.unified_diff(before, after, n=_CONTEXT_LINES, lineterm=""))[2:]
        lines += [f"{name}: {change}", *(f"  {line}" for line in differences if not line.startswith("@@")), ""]
    return lines[:-1]


def _describe(
    views: Iterable[FeatureView],
    on_demand: Iterable[OnDemandFeatureView],
    services: Iterable[FeatureService],
) -> dict[str, list[str]]:
    described = {f"feature view {view.name}": [*_describe_view(view), *_sql_lines(view)] for view in views}
    for computed in on_demand:
        transformation = computed.feature_transformation
        source = transformation.udf_string.splitlines() if transformation else []
        sources = [
            f"reads {projection.name}:{field.name}"
            for projection in computed.source_feature_view_projections.values()
            for field in projection.features
        ]
        described[f"on-demand view {computed.name}"] = [*_describe_view(computed), *sorted(sources), *source]
    for service in services:
        described[f"feature service {service.name}"] = [
            f"input {projection.name}:{field.name}"
            for projection in service.feature_view_projections
            for field in projection.features
        ]
    return described


def _describe_view(view: FeatureView | OnDemandFeatureView) -> list[str]:
    lines = [f"field {field.name}: {field.dtype}" for field in sorted(view.features, key=lambda field: field.name)]
    lines += [f"entity {name}" for name in sorted(view.entities or [])]
    lines += [f"tag {name}: {value}" for name, value in sorted(view.tags.items())]
    if isinstance(view, FeatureView):
        lines.append(f"ttl {view.ttl}")
    return lines


def _sql_lines(view: FeatureView) -> list[str]:
    return view.batch_source.tags.get("sql", "").splitlines() if view.batch_source else []
