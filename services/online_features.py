"""Feature values at the request: one read through the Feast FeatureService, and what the read says of itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from feature_repo.model_contract import ENTITY_KEY, REQUEST_TIME, Feature
from services.errors import NotReadyError

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore
    from feast.online_response import OnlineResponse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class FeatureRow:
    """What the online store holds of one customer.

    ``timestamps`` has the event time of each stored view; it is empty for a customer in none. ``absent`` lists
    the features that the store does not hold for this customer, which is not the same as holding a null.
    """

    customer_id: str
    as_of: datetime
    values: dict[str, Any]
    timestamps: dict[str, datetime]
    absent: list[Feature]

    @property
    def oldest(self) -> datetime:
        """The event time of the view that was refreshed longest ago."""
        return min(self.timestamps.values())


def read_features(
    store: "FeatureStore",
    service: "FeatureService",
    stored: Sequence[Feature],
    customer_ids: Sequence[str],
    as_of: datetime | None,
) -> list[FeatureRow]:
    """One row per id, in the order of ``customer_ids``.

    Without ``as_of`` each customer's own feature timestamp is the time of the request (replay). On-demand
    features depend on it, so it takes a read to learn it and another to use it.

    Args:
        store: The feature store.
        service: The model's feature service.
        stored: The features of ``service`` that come from stored views.
        customer_ids: At least one.
        as_of: The time of the request, UTC.
    """
    times = [as_of or _EPOCH] * len(customer_ids)
    rows = _read(store, service, stored, customer_ids, times)
    if as_of is not None:
        return rows
    own = [max(row.timestamps.values(), default=_EPOCH) for row in rows]
    return _read(store, service, stored, customer_ids, own)


def stored_features(inputs: Sequence[Feature], stored_views: Sequence[str]) -> list[Feature]:
    """The inputs that come from stored views.

    Raises:
        NotReadyError: A view that only feeds on-demand features: Feast's answer leaves out its timestamp, so its
            age could not be checked.
    """
    stored = [feature for feature in inputs if feature.view in stored_views]
    unseen = sorted(set(stored_views) - {feature.view for feature in stored})
    if unseen:
        raise NotReadyError(f"No feature of {', '.join(unseen)} is in the feature service, so its age is unknown.")
    return stored


def _read(
    store: "FeatureStore",
    service: "FeatureService",
    stored: Sequence[Feature],
    customer_ids: Sequence[str],
    times: Sequence[datetime],
) -> list[FeatureRow]:
    entities = [
        {ENTITY_KEY: customer_id, REQUEST_TIME: (time - _EPOCH) // timedelta(microseconds=1)}
        for customer_id, time in zip(customer_ids, times, strict=True)
    ]
    return _rows(store.get_online_features(features=service, entity_rows=entities), stored, customer_ids, times)


def _rows(
    response: "OnlineResponse", stored: Sequence[Feature], customer_ids: Sequence[str], times: Sequence[datetime]
) -> list[FeatureRow]:
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

    columns = response.to_dict()
    # Feast does not keep the order of the names, so each column is found by its name.
    found = dict(zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True))
    rows = []
    for i, (customer_id, time) in enumerate(zip(customer_ids, times, strict=True)):
        absent = []
        timestamps = {}
        for feature in stored:
            vector = found[feature.name]
            if vector.statuses[i] == FieldStatus.NOT_FOUND:
                absent.append(feature)
            else:
                timestamps[feature.view] = vector.event_timestamps[i].ToDatetime(tzinfo=UTC)
        values = {name: column[i] for name, column in columns.items()}
        rows.append(FeatureRow(customer_id, time, values, timestamps, absent))
    return rows
