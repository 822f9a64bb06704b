"""What Feast's registry says: the definitions, checked against the model's, and what is materialised."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from feature_repo.model_contract import (
    FEATURE_SERVICE,
    Feature,
    Freshness,
    ServedModel,
    differing_parts,
    fingerprint,
    freshness,
    model_inputs,
)
from feature_repo.times import as_utc
from services.errors import NotReadyError

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore, FeatureView

RECENCY = "days_since_last_purchase"


@dataclass(frozen=True)
class Definitions:
    """The registry in one state, found to match the model.

    ``materialised_to`` is the end of the last materialisation that every stored view has finished.
    """

    version: object
    service: "FeatureService"
    inputs: list[Feature]
    stored: list[Feature]
    limits: dict[str, Freshness]
    materialised_to: datetime


def registry_version(store: "FeatureStore") -> object:
    """Differs whenever the registry in memory does."""
    proto: Any = store.registry.proto()
    return proto.version_id, proto.last_updated.ToNanoseconds()


def read_definitions(store: "FeatureStore", contract: ServedModel) -> Definitions:
    """The definitions to score with.

    Raises:
        NotReadyError: They are not the model's, or a stored view was never materialised.
    """
    while True:
        version = registry_version(store)
        inputs, limits = model_inputs(store), freshness(store)
        actual = fingerprint(store, contract.horizon_days, contract.activity_days)
        service, views = store.get_feature_service(FEATURE_SERVICE), store.list_feature_views()
        if registry_version(store) == version:  # else it changed between two of the reads
            break
    _require_match(contract, inputs, actual)
    stored = _stored_features(inputs, list(limits))
    materialised_to = _materialised_to([view for view in views if view.name in limits])
    return Definitions(version, service, inputs, stored, limits, materialised_to)


def _require_match(contract: ServedModel, inputs: Sequence[Feature], actual: dict[str, str]) -> None:
    names = [feature.name for feature in inputs]
    parts = differing_parts(contract.fingerprint, actual)
    if names != contract.inputs:
        parts.append("inputs")
    if contract.feature_service != FEATURE_SERVICE:
        parts.append("feature service's name")
    if parts:
        raise NotReadyError(
            f"Model version {contract.model_version} was trained on other definitions than those in use: "
            f"{', '.join(parts)} differ.",
            "Serve the code and run `feast apply` of the version it was trained with, or train and promote a model "
            "on these definitions.",
        )
    if RECENCY not in names:
        raise NotReadyError(f"The feature service has no {RECENCY}, which tells whether a customer is active.")


def _stored_features(inputs: Sequence[Feature], stored_views: Sequence[str]) -> list[Feature]:
    """The inputs that come from stored views.

    Feast's answer leaves out the timestamp of a view that only feeds on-demand features, so such a view is refused.
    """
    stored = [feature for feature in inputs if feature.view in stored_views]
    unseen = sorted(set(stored_views) - {feature.view for feature in stored})
    if unseen:
        raise NotReadyError(f"No feature of {', '.join(unseen)} is in the feature service, so its age is unknown.")
    return stored


def _materialised_to(views: Sequence["FeatureView"]) -> datetime:
    never = sorted(view.name for view in views if not view.materialization_intervals)
    if never:
        which = "No feature view is" if len(never) == len(views) else f"{', '.join(never)}: not"
        raise NotReadyError(f"{which} materialised yet.", "Build the features: `python -m flows.features`.")
    ends = [[end for _, end in view.materialization_intervals] for view in views]
    shared = set.intersection(*map(set, ends))
    last = next((end for end in reversed(ends[0]) if end in shared), None)
    if last is None:
        raise NotReadyError(
            "The feature views were never materialised to the same time.",
            "Materialise all of them at once: `python -m flows.features`.",
        )
    return as_utc(last)
