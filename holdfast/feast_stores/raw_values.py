"""One read of several feature views: the bytes that an online store holds, by column, before anybody decodes them."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from feature_repo.names import ENTITY_KEY
from feature_repo.timestamps import NO_TIME, epoch_us
from holdfast.feast_stores._feast_imports import EntityKeyProto, ValueProto, ValueType

if TYPE_CHECKING:
    from feast import FeatureView, RepoConfig
    from feast.infra.online_stores.online_store import OnlineStore

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ViewRequest:
    """Fields to read from one stored view, whose only entity is the customer."""

    view: "FeatureView"
    fields: tuple[str, ...]


@dataclass(frozen=True)
class RawColumns:
    """What a store holds of n customers, in the order they were asked for.

    ``values`` has a column for each field, view by view: Feast's value as bytes, or None where there is none.
    ``times_us`` has one for each view: its event time in µs since 1970, or ``NO_TIME``.
    """

    values: list[Sequence[bytes | None]]
    times_us: list[Sequence[int]]


RawReader = Callable[[Sequence[str]], RawColumns]


def entity_keys(customer_ids: Sequence[str]) -> list[bytes]:
    """Feast's serialised entity keys (version 3) of customers, made directly.

    Feast makes a message of each id first, which takes longer than a store needs to answer.
    """
    length = struct.Struct("<I").pack
    encoded = [customer_id.encode() for customer_id in customer_ids]
    return [b"".join((_KEY_PREFIX, length(len(value)), value)) for value in encoded]


def _key_prefix() -> bytes:
    """One join key of type string, its name, and the type of its value."""
    name = ENTITY_KEY.encode()
    return struct.pack(f"<III{len(name)}sI", 1, ValueType.STRING, len(name), name, ValueType.STRING)


_KEY_PREFIX = _key_prefix()


def feast_reader(store: "OnlineStore", config: "RepoConfig", wanted: Sequence[ViewRequest]) -> RawReader:
    """Reads any of Feast's online stores through its own ``online_read``, view by view."""

    def read(customer_ids: Sequence[str]) -> RawColumns:
        keys = [
            EntityKeyProto(join_keys=[ENTITY_KEY], entity_values=[ValueProto(string_val=customer_id)])
            for customer_id in customer_ids
        ]
        values: list[Sequence[bytes | None]] = []
        times: list[Sequence[int]] = []
        for item in wanted:
            # Some stores append to the list they are given.
            rows = store.online_read(config, item.view, keys, list(item.fields))
            # Some give an unknown customer a row of nulls, at the beginning of time.
            known = [(time, row) if row and time and time > _NEVER else (None, {}) for time, row in rows]
            times.append([NO_TIME if time is None else epoch_us(time) for time, _ in known])
            for field in item.fields:
                values.append([row[field].SerializeToString() if field in row else None for _, row in known])
        return RawColumns(values, times)

    return read
