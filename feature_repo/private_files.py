"""Files that other users of the machine can neither read nor change."""

import os
import stat
from pathlib import Path

UMASK = 0o027  # the group reads where the data folder admits it, as the user of the container does
_OTHERS = stat.S_IRWXO
_STATE = ("batches", "feast", "mlflow", "prefect", "predictions")  # any of them is in a data folder that was used


def restrict_new_files() -> None:
    """Give files that this process and its child processes create no permissions for other users."""
    os.umask(os.umask(UMASK) | UMASK)


def restrict_data_folder(data: Path) -> None:
    """Create the data folder for its owner only, or close a data folder that every user can read.

    A folder with permissions for the group only stays as it is, and so does a folder that holds no state or that
    belongs to another user: it may have another purpose.

    Args:
        data: Data folder.
    """
    if not data.exists():
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return
    status = data.stat()
    is_own = status.st_uid == os.getuid() and not status.st_mode & stat.S_ISVTX
    if is_own and status.st_mode & _OTHERS and any((data / name).is_dir() for name in _STATE):
        data.chmod(0o700)
