"""Size-limited disk for the tables of a simulation: a tmpfs in a separate mount namespace."""

import os
import shutil
import subprocess
from pathlib import Path

from holdfast.core.errors import HoldfastError

# Tables that grow with the days. Alerts, the registry and Prefect's database are on another disk, as they should be.
_TABLES = ("batches", "staging", "snapshots", "scores", "predictions", "feast")


class LimitedDiskError(HoldfastError):
    """A disk of limited size cannot be mounted on this machine."""


def namespace_command() -> list[str]:
    """Build the prefix of a command that needs a mount namespace.

    Returns:
        Prefix of the command; mounts are visible to its process tree only and end with it.
    """
    return ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]


def move_tables_to_limited_disk(state: Path, megabytes: int) -> None:
    """Move the tables in ``state/data`` to a limited disk at ``state/disk``, replaced by symbolic links.

    Args:
        state: State folder.
        megabytes: Size of the disk.

    Raises:
        LimitedDiskError: The disk cannot be mounted.
    """
    disk = state / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LimitedDiskError(
            f"A disk of {megabytes} MB cannot be mounted at {disk}: {done.stderr.strip()}. Run as root, or enable "
            "user namespaces (unshare)."
        )
    for name in _TABLES:
        folder = state / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, disk / name)
        shutil.rmtree(folder)
        folder.symlink_to(Path("..") / "disk" / name, target_is_directory=True)
