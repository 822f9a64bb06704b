"""Files with a secret, readable by their owner only."""

import os
import secrets
import stat
from pathlib import Path

from holdfast.core.errors import HoldfastError

_BYTES = 32
_LONGEST = 65536


class SecretFileError(HoldfastError):
    """A file with a secret is missing, empty or accessible to other users."""


def ensure_secret_file(path: Path, prefix: str = "") -> str:
    """Read a secret, and create it if it is missing; of two processes at the same time both read the same secret.

    Args:
        path: File of the secret; its folder is created for the owner only.
        prefix: Beginning of a new secret, such as a user name.

    Returns:
        The secret.

    Raises:
        SecretFileError: The file is accessible to other users, or empty.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{prefix}{secrets.token_urlsafe(_BYTES)}\n")
                file.flush()
                os.fsync(file.fileno())
            path.hardlink_to(temporary)  # unlike a rename it replaces no file
        except FileExistsError:
            pass  # another process was first
        finally:
            temporary.unlink(missing_ok=True)
    return read_secret_file(path)


def read_secret_file(path: Path, group_reads: bool = False) -> str:
    """Read a secret from a file that only its owner can read.

    Args:
        path: File of the secret.
        group_reads: Also accept a file that its group can read, as Kubernetes mounts one.

    Returns:
        The secret, without white space around it.

    Raises:
        SecretFileError: The file is missing, empty, or accessible to other users.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if problem := find_exposure(status, stat.S_IRWXU | (stat.S_IRGRP if group_reads else 0)):
                raise SecretFileError(f"{path} {problem}: `chmod 600 {path}`, and replace the secret if it was used.")
            secret = file.read(_LONGEST).decode("utf-8", "replace").strip()
    except OSError as error:
        raise SecretFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not secret:
        raise SecretFileError(f"{path} is empty: delete the file, and it is created again.")
    return secret


def find_exposure(status: os.stat_result, readable: int = stat.S_IRWXU | stat.S_IRGRP | stat.S_IROTH) -> str:
    """Describe which other users can change or read a file.

    Args:
        status: Status of the open file.
        readable: Permission bits that are allowed; by default other users may read, and none may write.

    Returns:
        Predicate of a sentence such as "can be changed by other users"; empty if the file is safe.
    """
    if status.st_uid not in (0, os.getuid()):
        return "belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be changed by other users"
    if stat.S_IMODE(status.st_mode) & ~(readable | stat.S_IRWXU) & 0o077:
        return "can be read by other users"
    return ""
