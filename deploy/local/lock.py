"""One `make up` per data folder, and how others find out that it runs."""

import json
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from deploy.local.settings import LocalSettings
from feature_repo.errors import HoldfastError
from feature_repo.settings import Settings, load_settings


class RunsAlreadyError(HoldfastError):
    """Another `make up` works on the same data folder."""


def take_lock(settings: Settings, local: LocalSettings) -> FileLock:
    """Held for as long as everything runs; beside it is written where Prefect's server and the status page are.

    Raises:
        RunsAlreadyError: Another process holds it.
    """
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "up.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        status = (_written(settings) or {}).get("status", "starting")
        raise RunsAlreadyError(
            f"`make up` runs already on {settings.data} ({status}). End it with Ctrl-C where it was started, or set "
            "HOLDFAST_DATA to another folder, and other ports."
        ) from None
    from flows.files import replace_file  # the flows make folders: not for `make env`

    with replace_file(folder / "up.json") as temporary:
        places = {"prefect_api": f"{local.url('prefect')}/api", "status": local.url("status")}
        temporary.write_text(json.dumps(places))
    return lock


def running(settings: Settings) -> dict[str, str] | None:
    """Where the parts of the `make up` of this data folder are: ``prefect_api`` and ``status``; None: none runs."""
    file = _folder(settings) / "up.lock"
    if not file.exists():
        return None
    probe = FileLock(file)
    try:
        probe.acquire(blocking=False)
    except Timeout:
        return _written(settings)
    probe.release()
    return None


def _written(settings: Settings) -> dict[str, str] | None:
    try:
        found: dict[str, str] = json.loads((_folder(settings) / "up.json").read_text())
        return found
    except (OSError, ValueError):
        return None


def _folder(settings: Settings) -> Path:
    return settings.data / "local"


if __name__ == "__main__":
    # Part of `make env`: commands then use the server that runs instead of one of their own on the same database.
    if places := running(load_settings()):
        sys.stdout.write(f"export PREFECT_API_URL={places['prefect_api']}\n")
