"""Feature definitions in Feast's registry: reader, freshness limits and last materialization."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from feature_repo.names import FEATURE_SERVICE
from feature_repo.timestamps import as_utc, epoch_us
from holdfast.core.types import Ints
from holdfast.models.contract import (
    FreshnessLimits,
    ServedModel,
    diff_registry_definitions,
    freshness_limits,
)
from holdfast.online_features.reader import OnlineReader
from services.errors import NotReadyError

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

_CENTURY = timedelta(days=36_525)


@dataclass(frozen=True)
class FeatureDefinitions:
    """Feature definitions of one state of a version's registry.

    Attributes:
        registry_state: State of the registry.
        reader: Reader of the feature service.
        soft_limits: Age at which each of ``reader.views`` is stale, µs, shape (views,).
        hard_limits: Age at which each of ``reader.views`` is expired, µs, shape (views,).
        shortest_soft_limit: Minimum of ``soft_limits``, µs.
        materialized_to: End of the last materialization that every stored view has finished.
        materialized_to_us: The same in µs since 1970.
        input_names: Model inputs in the order of the feature service.
    """

    registry_state: object
    reader: OnlineReader
    soft_limits: Ints
    hard_limits: Ints
    shortest_soft_limit: int
    materialized_to: datetime
    materialized_to_us: int
    input_names: list[str]


def read_definitions(store: "FeatureStore", state: object) -> FeatureDefinitions:
    """Read the definitions from the registry in memory.

    Args:
        store: Feature store.
        state: State of the registry.

    Returns:
        Definitions.

    Raises:
        NotReadyError: There is no feature service, a stored view was never materialized, or a hard limit is below its
            soft limit.
    """
    if FEATURE_SERVICE not in [service.name for service in store.list_feature_services()]:
        raise NotReadyError(
            f"The registry has no feature service {FEATURE_SERVICE}.",
            f"Project {store.project} was not built, or retired: run `python -m flows.features` with the code that the "
            "model was trained with, or serve another model.",
        )
    reader = OnlineReader(store, FEATURE_SERVICE)
    limits = freshness_limits(store)
    names = [feature.name for feature in reader.inputs]
    _require_order({view: limits[view] for view in reader.views})
    soft_limits = _microseconds([limits[view].soft for view in reader.views])
    materialized_to = _materialized_to([view for view in store.list_feature_views() if view.name in reader.views])
    return FeatureDefinitions(
        registry_state=state,
        reader=reader,
        soft_limits=soft_limits,
        hard_limits=_microseconds([limits[view].hard for view in reader.views]),
        shortest_soft_limit=int(soft_limits.min()),
        materialized_to=materialized_to,
        materialized_to_us=epoch_us(materialized_to),
        input_names=names,
    )


def require_definitions_of_model(store: "FeatureStore", definitions: FeatureDefinitions, contract: ServedModel) -> None:
    """Check that the definitions are those the model was trained on.

    Args:
        store: Feature store.
        definitions: Definitions in use.
        contract: Contract of the model.

    Raises:
        NotReadyError: The definitions differ; the message names the differing parts.
    """
    if parts := diff_registry_definitions(store, contract, definitions.input_names):
        raise NotReadyError(
            f"Model version {contract.model_version} was trained on other definitions than those in the registry of "
            f"version {contract.definitions}: {', '.join(parts)} differ.",
            f"A version never changes: project {store.project} was changed by other means. Restore its registry from a "
            "backup, or delete it and run `python -m flows.features` with the code that the model was trained with.",
        )


def _require_order(limits: Mapping[str, FreshnessLimits]) -> None:
    """Check that features become stale before they expire."""
    wrong = [
        f"{view}: ttl {_hours(limit.hard)}, soft limit {_hours(limit.soft)}"
        for view, limit in limits.items()
        if limit.hard < limit.soft
    ]
    if wrong:
        raise NotReadyError(
            f"The hard freshness limit is below the soft one ({'; '.join(wrong)}).",
            "Make soft_limit_hours at most ttl in `feature_repo/feature_views.py`; run `python -m flows.features`.",
        )


def _hours(limit: timedelta) -> str:
    return f"{limit / timedelta(hours=1):g} h"


def _microseconds(limits: Sequence[timedelta]) -> Ints:
    """Convert to µs, at most a century: timedelta.max has more microseconds than an int64 holds."""
    return np.array([min(limit, _CENTURY) // timedelta(microseconds=1) for limit in limits], dtype=np.int64)


def _materialized_to(views: Sequence["FeatureView"]) -> datetime:
    never = sorted(view.name for view in views if not view.materialization_intervals)
    if never:
        which = "No feature view is" if len(never) == len(views) else f"{', '.join(never)}: not"
        raise NotReadyError(f"{which} materialized yet.", "Build the features: `python -m flows.features`.")
    ends = [[end for _, end in view.materialization_intervals] for view in views]
    shared = set.intersection(*map(set, ends))
    last = next((end for end in reversed(ends[0]) if end in shared), None)
    if last is None:
        raise NotReadyError(
            "The feature views were never materialized to the same time.",
            "Materialize all of them at once: `python -m flows.features`.",
        )
    return as_utc(last)


def registry_state(store: "FeatureStore") -> object:
    """Return a value that changes with every change of the registry in memory.

    Args:
        store: Feature store.

    Returns:
        State of the registry.
    """
    proto: Any = store.registry.proto()
    return proto.version_id, proto.last_updated.ToNanoseconds()
