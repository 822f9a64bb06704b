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

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.feature_store.definition_checks import check_definitions
from holdfast.feature_store.definition_versions import applied_version, list_versions, register_version
from holdfast.feature_store.store_outages import explain_outage


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


def check_contents(contents: RepoContents) -> None:
    """Check definitions before they are applied.

    Args:
        contents: Feast objects by type.

    Raises:
        EntityKeyError: As :func:`check_definitions`.
        FeatureNameError: As :func:`check_definitions`.
    """
    views = [*contents.feature_views, *contents.on_demand_feature_views]
    check_definitions(contents.entities, views, contents.feature_services)


class NotAppliedError(HoldfastError):
    """Feast's registry contains other definitions than this checkout."""


@explain_outage()
def apply_definitions(store: FeatureStore) -> str:
    """Apply the definitions of this checkout, unless the registry is up to date.

    Args:
        store: Feast store of the registry.

    Returns:
        Output of `feast apply`.

    Raises:
        EntityKeyError: An entity has another key than customer_id; nothing is applied.
        FeatureNameError: Two features that are read together have one name; nothing is applied.
    """
    contents = collect_definitions()
    check_contents(contents)
    if _is_up_to_date(store, contents):
        return "No changes"
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        apply_total_with_repo_instance(store, store.project, store.registry, contents, skip_source_validation=True)
    return re.sub(r"\x1b\[[0-9;]*m", "", output.getvalue()).strip()


def find_applied_version(settings: Settings, store: FeatureStore) -> str:
    """Find the version of the definitions of this checkout; they are applied and registered where nothing is yet.

    The caller holds the features lock.

    Args:
        settings: Settings with the data folder.
        store: Feast store of the registry.

    Returns:
        Id of the version.

    Raises:
        NotAppliedError: The registry holds other definitions than this checkout, or the version has no features yet.
    """
    versions = list_versions(settings)
    if not versions:
        apply_definitions(store)
        return register_version(store)
    if not _is_up_to_date(store, collect_definitions()):
        raise NotAppliedError(
            "Feast's registry holds other definitions than this checkout. See `feast -c feature_repo plan`. If the "
            "change is intended, `python -m flows.features` applies the definitions and checks parity. If not, check "
            "out the code that was applied, or train on a registered version: `python -m flows.train --definitions "
            f"ID`, with ID one of {', '.join(versions)}."
        )
    version = applied_version(store)
    if version not in versions:
        raise NotAppliedError(
            f"The applied feature definitions, version {version}, have no features yet. Run `python -m flows.features`."
        )
    return version


def _is_up_to_date(store: FeatureStore, contents: RepoContents) -> bool:
    diff, infra_diff, _ = store.plan(contents)
    transitions = [item.transition_type for item in diff.feast_object_diffs]
    transitions += [item.transition_type for item in infra_diff.infra_object_diffs]
    return set(transitions) <= {TransitionType.UNCHANGED}
