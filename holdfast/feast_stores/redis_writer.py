"""Writer of whole columns to Feast's Redis online store: the hashes of Feast's own writes, in packed commands."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from feature_repo.names import ENTITY_KEY
from feature_repo.timestamps import NO_TIME
from holdfast.feast_stores.raw_values import ViewRows, entity_keys
from holdfast.feast_stores.redis_pipeline import execute_commands, hash_reader
from holdfast.feast_stores.value_encoder import encode_values, to_microseconds

if TYPE_CHECKING:
    from redis.connection import ConnectionPool

_CHUNK = 1000  # customers per round trip: limits the wait of other clients


def write_view(
    connection_pool: Callable[[], "ConnectionPool"],
    rows: ViewRows,
    project: str,
    fields: Sequence[bytes],
    time_field: str,
    parse_time: Callable[[bytes], int],
    expiry_seconds: int | None = None,
) -> None:
    """Set the values of a view in the hash of each customer, except where the hash has a later event time.

    Feast also skips rows whose time is the stored time; here they are written, because a correction of the data has
    other values for the same time.

    Args:
        connection_pool: Returns the connection pool.
        rows: Rows of the view.
        project: Feast project, the end of each key.
        fields: Name of each feature within a hash.
        time_field: Name of the event time within a hash.
        parse_time: Function from a stored time to microseconds since 1970.
        expiry_seconds: Time after which a customer is deleted; None for no limit.

    Raises:
        RedisError: The server does not reply or refuses a write; customers before it are written.
    """
    start_times = hash_reader(connection_pool, [time_field])
    pack = _packer(time_field.encode(), fields, expiry_seconds)
    replies_each = 2 if expiry_seconds else 1
    for batch in rows.table.to_batches(max_chunksize=_CHUNK):
        keys = [key + project.encode() for key in entity_keys(batch[ENTITY_KEY].to_pylist())]
        times = to_microseconds(batch[rows.time_column])
        values = [encode_values(batch[field.name], str(field.dtype)) for field in rows.view.features]
        stored = [NO_TIME if time is None else parse_time(time) for (time,) in start_times(keys)()]
        commands = [
            pack(key, time, row)
            for key, time, before, row in zip(keys, times, stored, zip(*values, strict=True), strict=True)
            if time >= before
        ]
        execute_commands(connection_pool(), b"".join(commands), replies_each * len(commands))


def _packer(
    time_field: bytes, fields: Sequence[bytes], expiry_seconds: int | None
) -> Callable[[bytes, int, tuple[bytes, ...]], bytes]:
    """Create a function that packs the commands of one customer in the Redis protocol."""
    head = b"*%d\r\n%b$" % (2 + 2 * (1 + len(fields)), _bulk(b"HSET"))
    names = b"".join(_bulk(field).replace(b"%", b"%%") + b"$%d\r\n%b\r\n" for field in fields)
    expiry = b"" if expiry_seconds is None else b"*3\r\n%b$" % _bulk(b"EXPIRE")
    seconds = _bulk(b"%d" % (expiry_seconds or 0))
    packed_times: dict[int, bytes] = {}

    def pack(key: bytes, time: int, row: tuple[bytes, ...]) -> bytes:
        packed_key = b"%d\r\n%b\r\n" % (len(key), key)
        if time not in packed_times:
            packed_times[time] = _bulk(time_field) + _bulk(_serialize_time(time))
        arguments = [item for value in row for item in (len(value), value)]
        command = head + packed_key + packed_times[time] + names % tuple(arguments)
        return command + expiry + packed_key + seconds if expiry else command

    return pack


def _bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def _serialize_time(microseconds: int) -> bytes:
    time = Timestamp()
    time.FromMicroseconds(microseconds)
    return time.SerializeToString()
