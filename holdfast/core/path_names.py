"""Names that become parts of a path, and lists of paths."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

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


def split_paths(values: Iterable[str]) -> list[str]:
    """Split lists of paths, whose parts are separated as in PATH.

    Args:
        values: Paths, or lists of them. A value that names an existing file or folder is one path.

    Returns:
        Paths; parts of a list have no blanks around them, and empty parts are left out.
    """
    paths: list[str] = []  # os.path.exists is False for a value that is too long for a name, Path.exists fails
    for value in values:
        is_path = os.pathsep not in value or os.path.exists(Path(value).expanduser())  # noqa: PTH110
        paths += [value] if is_path and value else filter(None, map(str.strip, value.split(os.pathsep)))
    return paths
