"""Addresses of artifacts in a registry: only those of the tracking server, the data folder and named roots are read.

A person who can write the registry could otherwise let the service request any address, such as that of the metadata of
a cloud machine, or read without end.
"""

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field

from feature_repo.database_urls import sqlite_path
from feature_repo.settings import EnvironmentSettings, Settings
from holdfast.models.registered_version import NotServableError

MAX_BYTES = 512_000_000
_LOCAL = ("", "file")
_SERVER = ("http", "https", "mlflow-artifacts")


class ArtifactSettings(EnvironmentSettings):
    """Places of artifacts besides the tracking server and the data folder."""

    artifact_roots: str = Field(
        default="",
        description="Addresses of stores from which artifacts are read, separated by commas: s3://bucket/mlflow, "
        "file:///mnt/models. The tracking server and the data folder need none.",
    )


def require_source(address: str, tracking_uri: str) -> None:
    """Check the address of an artifact before it is requested.

    Args:
        address: Address in the registry.
        tracking_uri: Tracking URI of MLflow.

    Raises:
        NotServableError: The address is of another server, store or folder, or its local file is too large or no
            regular file.
    """
    parts, server = urlsplit(address), urlsplit(tracking_uri)
    segments = unquote(parts.path).split("/")
    if parts.scheme in _LOCAL and not parts.netloc:
        _require_folder(Path(unquote(parts.path)), tracking_uri)
    elif parts.scheme in _SERVER and ".." not in segments and _is_server(parts.netloc, parts.scheme, server):
        return
    elif ".." in segments or not any(_is_below(address, root) for root in _roots()):
        raise NotServableError(
            f"The registry names {parts.scheme}://{parts.hostname or ''} as source of an artifact, neither "
            f"the tracking server nor a root in {ArtifactSettings.variable('artifact_roots')}. Nothing was requested. "
            "If the address is that of your artifact store, add its root there."
        )


def _require_folder(file: Path, tracking_uri: str) -> None:
    """Check a local file that a registry names; who can write an embedded database can write the data folder, too."""
    roots = [Path(unquote(urlsplit(root).path)) for root in _roots() if root.startswith("file:///")]
    allowed = [folder.resolve() for folder in (Settings.from_environment().data, *roots)]
    if sqlite_path(tracking_uri) is None and not any(file.resolve().is_relative_to(folder) for folder in allowed):
        raise NotServableError(
            f"The registry names the file {file} as source of an artifact, neither in the data folder nor in a root in "
            f"{ArtifactSettings.variable('artifact_roots')}. Nothing was read. If it is that of your artifact store, "
            "add file:// and its folder there."
        )
    require_readable_size(file)


def require_readable_size(path: Path) -> None:
    """Check an artifact before it is read into memory; a missing file passes.

    Args:
        path: The file.

    Raises:
        NotServableError: The file is too large, or no regular file.
    """
    if path.exists() and not path.is_file():
        raise NotServableError(f"The artifact {path} is no regular file.")
    if path.exists() and (size := path.stat().st_size) > MAX_BYTES:
        raise NotServableError(f"The artifact {path} has {size:,} bytes; at most {MAX_BYTES:,} are read.")


def _is_server(netloc: str, scheme: str, server: SplitResult) -> bool:
    if not netloc:
        return scheme == "mlflow-artifacts"  # MLflow asks the tracking server
    is_same = netloc.rpartition("@")[2] == server.netloc.rpartition("@")[2]
    return is_same and server.scheme in ("http", "https")


def _is_below(address: str, root: str) -> bool:
    return address.startswith(f"{root.rstrip('/')}/")


def _roots() -> list[str]:
    text = ArtifactSettings.from_environment().artifact_roots
    return [root for item in text.split(",") if "://" in (root := item.strip())]
