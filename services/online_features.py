"""Feature values at the request: one read through the Feast FeatureService, and what the read says of itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from feature_repo.model_contract import ENTITY_KEY, REQUEST_TIME, Feature
from feature_repo.times import epoch_us

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore
    from feast.online_response import OnlineResponse


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
    def newest(self) -> datetime:
        """The event time of the view that was refreshed last; the same for all in a row that may be scored."""
        return max(self.timestamps.values())

    @property
    def age(self) -> timedelta:
        """How old the features are at ``as_of``."""
        return self.as_of - self.newest

    def is_later_than(self, time: datetime) -> bool:
        """Whether a stored view of the customer is of a later snapshot than ``time``."""
        return bool(self.timestamps) and self.newest > time


def read_features(
    store: "FeatureStore",
    service: "FeatureService",
    stored: Sequence[Feature],
    customer_ids: Sequence[str],
    as_of: datetime,
) -> list[FeatureRow]:
    """One row per id, in the order of ``customer_ids``.

    Args:
        store: The feature store.
        service: The model's feature service.
        stored: The features of ``service`` that come from stored views.
        customer_ids: At least one.
        as_of: The time of the request, UTC.
    """
    entities = [{ENTITY_KEY: customer_id, REQUEST_TIME: epoch_us(as_of)} for customer_id in customer_ids]
    return _rows(store.get_online_features(features=service, entity_rows=entities), stored, customer_ids, as_of)


def _rows(
    response: "OnlineResponse", stored: Sequence[Feature], customer_ids: Sequence[str], as_of: datetime
) -> list[FeatureRow]:
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

    columns = response.to_dict()
    # Feast does not keep the order of the names, so each column is found by its name.
    found = dict(zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True))
    rows = []
    for i, customer_id in enumerate(customer_ids):
        absent = []
        timestamps = {}
        for feature in stored:
            vector = found[feature.name]
            if vector.statuses[i] == FieldStatus.NOT_FOUND:
                absent.append(feature)
            else:
                timestamps[feature.view] = vector.event_timestamps[i].ToDatetime(tzinfo=UTC)
        values = {name: column[i] for name, column in columns.items()}
        rows.append(FeatureRow(customer_id, as_of, values, timestamps, absent))
    return rows
