"""Lock of a data folder, held by `make up`, and the addresses of its components for other processes."""

import json
import shlex
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from deploy.local.components import component_environment
from deploy.local.settings import LocalSettings
from feature_repo.private_files import restrict_data_folder
from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from holdfast.core.errors import HoldfastError
from holdfast.runtime.prefect_access import API_URL, CLIENT_PASSWORD, password_file, read_command

_STATUS = "HOLDFAST_STATUS_URL"


class AlreadyRunningError(HoldfastError):
    """Another `make up` uses the data folder."""


def acquire_lock(settings: Settings, local: LocalSettings) -> FileLock:
    """Acquire the lock of the data folder, and write the addresses of the components next to it.

    Args:
        settings: Data folder.
        local: Host and ports.

    Returns:
        The acquired lock.

    Raises:
        AlreadyRunningError: Another process holds the lock.
    """
    restrict_data_folder(settings.data)
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "up.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        status = (_read_endpoints(settings) or {}).get(_STATUS, "starting")
        raise AlreadyRunningError(
            f"`make up` already runs on {settings.data} ({status}). End it with Ctrl-C in its terminal, or set "
            "HOLDFAST_DATA to another folder and choose other ports."
        ) from None
    with replace_file(folder / "up.json") as temporary:
        temporary.touch(0o600)  # the address of the user's tracking server may contain a password
        temporary.write_text(json.dumps(_endpoints(settings, local)))
    return lock


def running_endpoints(settings: Settings) -> dict[str, str] | None:
    """Read the addresses of the components of a running `make up`.

    Args:
        settings: Data folder.

    Returns:
        Environment variables with the addresses; None: no `make up` runs on the data folder.
    """
    file = _folder(settings) / "up.lock"
    if not file.exists():
        return None
    probe = FileLock(file)
    try:
        probe.acquire(blocking=False)
    except Timeout:
        return _read_endpoints(settings)
    probe.release()
    return None


def _endpoints(settings: Settings, local: LocalSettings) -> dict[str, str]:
    variables = component_environment(settings, local)
    urls = {name: value for name, value in variables.items() if name.startswith("HOLDFAST_") and name.endswith("_URL")}
    return {API_URL: variables[API_URL], **urls, _STATUS: local.url("status")}


def _read_endpoints(settings: Settings) -> dict[str, str] | None:
    try:
        found: dict[str, str] = json.loads((_folder(settings) / "up.json").read_text())
        return found
    except (OSError, ValueError):
        return None


def _folder(settings: Settings) -> Path:
    return settings.data / "local"


if __name__ == "__main__":
    # Used by `make env`: commands then use the running servers instead of a second one on the same database, and alerts
    # link to existing pages.
    settings = Settings.from_environment()
    endpoints = running_endpoints(settings) or {}
    sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in endpoints.items())
    if endpoints:  # the shell reads the password, which is not printed
        sys.stdout.write(f"export {CLIENT_PASSWORD}={read_command(password_file(settings))}\n")
