"""Application of the feature definitions of this checkout to Feast's registry, as `feast apply` does."""

import contextlib
import io
import re
from typing import Any

from feast import Entity, FeatureService, FeatureStore, FeatureView, OnDemandFeatureView, Project
from feast.data_source import DataSource
from feast.diff.property_diff import TransitionType
from feast.feature_view import DUMMY_ENTITY
from feast.repo_contents import RepoContents
from feast.repo_operations import apply_total_with_repo_instance

from holdfast.core.errors import HoldfastError


def collect_definitions() -> RepoContents:
    """Collect the objects of ``feature_repo.definitions`` in the form that Feast's commands use.

    Returns:
        Feast objects by type.
    """
    from feature_repo import definitions  # builds the Feast objects

    objects = [getattr(definitions, name) for name in definitions.__all__]

    def of_type(*types: type) -> list[Any]:
        return [item for item in objects if isinstance(item, types)]

    return RepoContents(
        projects=of_type(Project),
        data_sources=of_type(DataSource),
        entities=[*of_type(Entity), DUMMY_ENTITY],
        feature_views=of_type(FeatureView),
        on_demand_feature_views=of_type(OnDemandFeatureView),
        feature_services=of_type(FeatureService),
        stream_feature_views=[],
        label_views=[],
        permissions=[],
    )


class NotAppliedError(HoldfastError):
    """Feast's registry contains other definitions than this checkout."""


def apply_definitions(store: FeatureStore) -> str:
    """Apply the definitions of this checkout, unless the registry is up to date.

    Args:
        store: Feast store of the registry.

    Returns:
        Output of `feast apply`.
    """
    contents = collect_definitions()
    if _is_up_to_date(store, contents):
        return "No changes"
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        apply_total_with_repo_instance(store, store.project, store.registry, contents, skip_source_validation=True)
    return re.sub(r"\x1b\[[0-9;]*m", "", output.getvalue()).strip()


def require_applied(store: FeatureStore) -> None:
    """Check that the registry contains the definitions of this checkout; apply them to an empty registry.

    Args:
        store: Feast store of the registry.

    Raises:
        NotAppliedError: The registry holds other definitions than this checkout.
    """
    if not store.list_feature_services():
        apply_definitions(store)
    elif not _is_up_to_date(store, collect_definitions()):
        raise NotAppliedError(
            "Feast's registry holds other definitions than this checkout. See `feast -c feature_repo plan`. If the "
            "change is intended, `python -m flows.features` applies the definitions and checks parity; then train and "
            "promote. If not, go back to the code that was applied."
        )


def _is_up_to_date(store: FeatureStore, contents: RepoContents) -> bool:
    diff, infra_diff, _ = store.plan(contents)
    transitions = [item.transition_type for item in diff.feast_object_diffs]
    transitions += [item.transition_type for item in infra_diff.infra_object_diffs]
    return set(transitions) <= {TransitionType.UNCHANGED}
