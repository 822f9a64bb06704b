"""A small disk for the tables of a simulation, which can be filled up: tmpfs, in a mount namespace of its own."""

import os
import shutil
import subprocess
from pathlib import Path

from holdfast.core.errors import HoldfastError

# What grows with the days. Alerts, the registry and Prefect's database are elsewhere, as they should be.
_TABLES = ("batches", "staging", "snapshots", "scores", "predictions", "feast")


class NoSmallDiskError(HoldfastError):
    """A disk of limited size cannot be had here."""


def namespace() -> list[str]:
    """What begins the command of a process that may mount for itself: nobody else sees it, and it goes with it."""
    return ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]


def put_on_small_disk(state: Path, megabytes: int) -> None:
    """Move the tables in ``state/data`` to a disk of so many MB at ``state/disk``; links take their place.

    Raises:
        NoSmallDiskError: Nothing can be mounted.
    """
    disk = state / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoSmallDiskError(
            f"No disk can be filled up here: {done.stderr.strip()}. It takes root, or user namespaces (unshare)."
        )
    for name in _TABLES:
        folder = state / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, disk / name)
        shutil.rmtree(folder)
        folder.symlink_to(Path("..") / "disk" / name, target_is_directory=True)
