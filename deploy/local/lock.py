"""One `make up` per data folder, and how others find out that it runs."""

import json
import shlex
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from deploy.local.components import environment
from deploy.local.settings import LocalSettings
from feature_repo.settings import Settings, load_settings
from holdfast.core.errors import HoldfastError

_STATUS = "HOLDFAST_STATUS_URL"


class RunsAlreadyError(HoldfastError):
    """Another `make up` works on the same data folder."""


def take_lock(settings: Settings, local: LocalSettings) -> FileLock:
    """Held for as long as everything runs; beside it is written where the parts are.

    Raises:
        RunsAlreadyError: Another process holds it.
    """
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "up.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        status = (_written(settings) or {}).get(_STATUS, "starting")
        raise RunsAlreadyError(
            f"`make up` runs already on {settings.data} ({status}). End it with Ctrl-C where it was started, or set "
            "HOLDFAST_DATA to another folder, and other ports."
        ) from None
    from holdfast.core.atomic_files import replace_file  # the flows make folders: not for `make env`

    with replace_file(folder / "up.json") as temporary:
        temporary.touch(0o600)  # the address of a tracking server of the user's may hold a password
        temporary.write_text(json.dumps(_places(settings, local)))
    return lock


def running(settings: Settings) -> dict[str, str] | None:
    """The variables that say where the parts of the `make up` of this data folder are; None: none runs."""
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


def _places(settings: Settings, local: LocalSettings) -> dict[str, str]:
    told = environment(settings, local)
    urls = {name: value for name, value in told.items() if name.startswith("HOLDFAST_") and name.endswith("_URL")}
    return {"PREFECT_API_URL": told["PREFECT_API_URL"], **urls, _STATUS: local.url("status")}


def _written(settings: Settings) -> dict[str, str] | None:
    try:
        found: dict[str, str] = json.loads((_folder(settings) / "up.json").read_text())
        return found
    except (OSError, ValueError):
        return None


def _folder(settings: Settings) -> Path:
    return settings.data / "local"


if __name__ == "__main__":
    # Part of `make env`: commands then use the servers that run instead of one of their own on the same database, and
    # alerts link to what is there.
    places = running(load_settings()) or {}
    sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in places.items())
