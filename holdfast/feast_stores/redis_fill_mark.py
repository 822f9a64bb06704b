"""Mark in Redis that a project has all its values: without it, an unknown customer may not be written yet."""

from typing import Any

from redis.exceptions import NoPermissionError

_READ_SECONDS = 2  # longest time of a read


def is_filled(client: Any, project: str) -> bool:
    """Check whether the server has all values of a project, for reads that have started before too.

    Args:
        client: Client of redis-py.
        project: Project as in the keys.

    Returns:
        True also without permission to check.
    """
    try:
        filled, filling = client.mget(_filled_key(project), _filling_key(project))
    except NoPermissionError:
        return True
    return filled is not None and filling is None


def mark_filled(client: Any, project: str) -> None:
    """Set the mark, unless it is set. A second mark lasts for the longest time of a read that has started before.

    Args:
        client: Client of redis-py.
        project: Project as in the keys.
    """
    if not client.exists(_filled_key(project)):
        client.set(_filling_key(project), b"", ex=_READ_SECONDS)
        client.set(_filled_key(project), b"")


def remove_mark(client: Any, project: str) -> None:
    """Remove the mark.

    Args:
        client: Client of redis-py.
        project: Project as in the keys.
    """
    client.delete(_filled_key(project))


def _filled_key(project: str) -> str:
    return f"holdfast:filled:{project}"


def _filling_key(project: str) -> str:
    return f"holdfast:filling:{project}"
