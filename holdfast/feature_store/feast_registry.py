"""`feast apply`, as a function: the definitions of this checkout into Feast's registry."""

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
    """The objects named in ``feature_repo.definitions``, as Feast's own commands collect them."""
    from feature_repo import definitions as module

    objects = [getattr(module, name) for name in module.__all__]

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
    """The registry holds other definitions than this checkout."""


def apply_definitions(store: FeatureStore) -> str:
    """What `feast apply` does; returns what it printed. An up-to-date registry is left untouched."""
    wanted = collect_definitions()
    if _is_up_to_date(store, wanted):
        return "No changes"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        apply_total_with_repo_instance(store, store.project, store.registry, wanted, skip_source_validation=True)
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue()).strip()


def require_applied(store: FeatureStore) -> None:
    """Apply to an empty registry; one that serves others is changed on purpose only.

    Raises:
        NotAppliedError: The registry holds other definitions than this checkout.
    """
    if not store.list_feature_services():
        apply_definitions(store)
    elif not _is_up_to_date(store, collect_definitions()):
        raise NotAppliedError(
            "Feast's registry holds other definitions than this checkout. See `feast -c feature_repo plan`. If they "
            "are meant, `python -m flows.features` applies them and proves parity; then train on them, and promote. "
            "If not, go back to the code that was applied."
        )


def _is_up_to_date(store: FeatureStore, wanted: RepoContents) -> bool:
    diff, infra_diff, _ = store.plan(wanted)
    transitions = [item.transition_type for item in diff.feast_object_diffs]
    transitions += [item.transition_type for item in infra_diff.infra_object_diffs]
    return set(transitions) <= {TransitionType.UNCHANGED}
