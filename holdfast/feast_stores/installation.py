"""Name of this installation in the keys of a shared online store.

Installations with the same feature definitions have versions of the same id. Two of them on one Redis server, such as
two shops or a copy of a data folder, would overwrite, read and delete the values of each other.
"""

import json
import secrets
from pathlib import Path

from feature_repo.settings import Settings
from holdfast.feast_stores._feast_imports import RepoConfig
from holdfast.feast_stores.settings import FeatureStoreSettings

_FILE = Path("feast") / "installation.json"


def claim_installation(settings: Settings) -> None:
    """Name the installation, unless it has a name. The caller holds the features lock and will write or delete values.

    A copied file has another inode, so that a copy of the data folder gets another name, and fills the online store
    again. A moved folder keeps its name.

    Args:
        settings: Settings with the data folder.
    """
    path = settings.data / _FILE
    if path.exists() and _read(path).get("inode") == path.stat().st_ino:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("x", encoding="utf-8") as file:
        json.dump({"name": secrets.token_hex(4), "inode": path.stat().st_ino}, file)


def stored_project(config: RepoConfig) -> str:
    """Return the name of a project in the keys of a shared online store.

    Args:
        config: Configuration of the feature store.

    Returns:
        Project and name of the installation; the project alone where nothing was written yet.
    """
    name = FeatureStoreSettings.from_environment().installation
    if not name:
        path = Settings.from_environment().data / _FILE
        name = str(_read(path).get("name", "")) if path.exists() else ""
    return f"{config.project}@{name}" if name else config.project


def _read(path: Path) -> dict[str, str | int]:
    """Read the file; one that a killed process left empty names nothing."""
    try:
        content: dict[str, str | int] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return {}
    return content
