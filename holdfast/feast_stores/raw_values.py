"""Stored bytes of several feature views, by column, as an online store returns them before decoding."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from feature_repo.names import ENTITY_KEY
from feature_repo.timestamps import NO_TIME, epoch_us
from holdfast.feast_stores._feast_imports import EntityKeyProto, ValueProto, ValueType

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureView, RepoConfig
    from feast.infra.online_stores.online_store import OnlineStore

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY = ENTITY_KEY.encode()
# One join key of type string, its name, and the type of its value.
_KEY_PREFIX = struct.pack(f"<III{len(_KEY)}sI", 1, ValueType.STRING, len(_KEY), _KEY, ValueType.STRING)


@dataclass(frozen=True)
class ViewRequest:
    """Fields to read from one stored view, whose only entity is the customer."""

    view: "FeatureView"
    fields: tuple[str, ...]


@dataclass(frozen=True)
class RawColumns:
    """Stored values of n customers, in the order of the request.

    Attributes:
        values: A column per field, view by view: Feast's value as bytes, or None for a missing value.
        times_us: A column per view: the event time in µs since 1970, or ``NO_TIME``.
    """

    values: list[Sequence[bytes | None]]
    times_us: list[Sequence[int]]


@dataclass(frozen=True)
class ViewRows:
    """Rows of one view to write, a row per customer.

    Attributes:
        table: Customer, values, time and creation time.
        time_column: Column of the event time.
        created_column: Column of the creation time.
    """

    view: "FeatureView"
    table: "pa.Table"
    time_column: str
    created_column: str


@dataclass(frozen=True)
class RawReader:
    """Reader of the stored values of customers. Threads may share it.

    Attributes:
        start: Function from customer ids to a function that returns their stored values, which must be called. A store
            on a server has been sent the request before, so that the requests of several readers share the wait.
    """

    start: Callable[[Sequence[str]], Callable[[], RawColumns]]

    @classmethod
    def of_function(cls, read: Callable[[Sequence[str]], RawColumns]) -> "RawReader":
        """Create a reader that reads when the values are needed.

        Args:
            read: Function from customer ids to their stored values.

        Returns:
            The reader.
        """
        return cls(lambda customer_ids: lambda: read(customer_ids))

    def __call__(self, customer_ids: Sequence[str]) -> RawColumns:
        """Read the stored values of customers."""
        return self.start(customer_ids)()


def entity_keys(customer_ids: Sequence[str]) -> list[bytes]:
    """Serialize Feast's entity keys (version 3) of customers.

    Feast's own function builds a message per id, which takes longer than the read of a store.

    Args:
        customer_ids: Ids of the customers.

    Returns:
        One key per customer.
    """
    length = struct.Struct("<I").pack
    encoded = [customer_id.encode() for customer_id in customer_ids]
    return [b"".join((_KEY_PREFIX, length(len(value)), value)) for value in encoded]


def feast_reader(store: "OnlineStore", config: "RepoConfig", requests: Sequence[ViewRequest]) -> RawReader:
    """Create a reader of any online store of Feast, through ``online_read``, view by view.

    Args:
        store: The online store.
        config: Configuration of the feature store.
        requests: Views and fields to read.

    Returns:
        The reader.
    """

    def read(customer_ids: Sequence[str]) -> RawColumns:
        keys = [
            EntityKeyProto(join_keys=[ENTITY_KEY], entity_values=[ValueProto(string_val=customer_id)])
            for customer_id in customer_ids
        ]
        values: list[Sequence[bytes | None]] = []
        times: list[Sequence[int]] = []
        for request in requests:
            # A copy of the fields, because some stores append to the list.
            rows = store.online_read(config, request.view, keys, list(request.fields))
            # Some stores return an unknown customer as a row of nulls at the epoch.
            known = [(time, row) if row and time and time > _EPOCH else (None, {}) for time, row in rows]
            times.append([NO_TIME if time is None else epoch_us(time) for time, _ in known])
            for field in request.fields:
                values.append([row[field].SerializeToString() if field in row else None for _, row in known])
        return RawColumns(values, times)

    return RawReader.of_function(read)
