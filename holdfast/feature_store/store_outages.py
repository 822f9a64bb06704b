"""Errors of an online store or a registry that cannot be reached."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import InterfaceError, OperationalError

from holdfast.core.errors import HoldfastError


class StoreUnreachableError(HoldfastError):
    """Online store or registry that cannot be reached; what was done before remains, and the next run completes it."""


@contextmanager
def explain_outage() -> Iterator[None]:
    """Convert the error of a server that cannot be reached to one that names the server and what to do.

    Yields:
        Nothing.

    Raises:
        StoreUnreachableError: Redis or the SQL registry of the block cannot be reached.
    """
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise _unreachable("The online store, the Redis server in HOLDFAST_REDIS,", error) from error
    except (OperationalError, InterfaceError) as error:
        raise _unreachable("Feast's registry, the database in the file of FEAST_FS_YAML_FILE_PATH,", error) from error


def _unreachable(server: str, error: Exception) -> StoreUnreachableError:
    first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return StoreUnreachableError(
        f"{server} cannot be reached: {first_line} Start it, or correct its address, and run the command again: it "
        "completes what this run began. Other versions of the feature definitions are unchanged."
    )
