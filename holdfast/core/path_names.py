"""Names from registries and metadata that become parts of a path."""

import re

from holdfast.core.errors import HoldfastError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]{0,199}", re.ASCII)


class PathNameError(HoldfastError):
    """A name that leads out of its folder, or is no name of a file."""


def require_path_name(name: str, what: str) -> str:
    """Check a name that was read from a registry or a file, before it becomes part of a path.

    Args:
        name: The name.
        what: Kind of the name, for the message.

    Returns:
        The name: letters, digits, dots, dashes, underscores and equals signs, without a dot or dash at its begin.

    Raises:
        PathNameError: The name has other characters, such as a slash.
    """
    if not _NAME.fullmatch(name):
        raise PathNameError(
            f"{name[:80]!r} is no {what}: only letters, digits, '.', '-', '_' and '=' may be in it. The record with "
            "that name was changed."
        )
    return name
