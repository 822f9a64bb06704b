"""Feature store of this repository."""

from datetime import datetime
from pathlib import Path

from feature_repo.store_addresses import describe_database_protection, require_protected
from holdfast.core.path_names import require_path_name
from holdfast.feast_stores._feast_imports import FeatureStore, RepoConfig, load_repo_config
from holdfast.feast_stores.settings import FEATURE_REPO, FeatureStoreSettings
from holdfast.feast_stores.stored_functions import approve_functions_of

VERSIONS = Path("feast") / "versions"
ONLINE_STATE = "online_state.json"  # in the folder of a version: the record of its materialization


def open_store(
    known_at: datetime | None = None, online_timeout: float | None = None, definitions: str | None = None
) -> FeatureStore:
    """Open the feature store that ``feature_store.yaml``, or the file in ``FEAST_FS_YAML_FILE_PATH``, configures.

    Args:
        known_at: Point-in-time joins read only snapshots of data that had arrived by then; None reads all snapshots.
        online_timeout: Limit of one read of the online store, seconds, unless the configuration has its own.
        definitions: Id of a version of the definitions, whose Feast project is opened; None opens the project of
            ``feature_store.yaml``, which `feast apply` changes and which has no online values.

    Returns:
        The feature store.
    """
    config = load_repo_config(FEATURE_REPO, FeatureStoreSettings.from_environment().config_file)
    for path in (config.registry.path, getattr(config.registry, "read_path", None) or ""):
        require_protected(describe_database_protection(path), "The registry in feature_store.yaml")
    if definitions is not None:
        _select_version(config, definitions)
    if known_at is not None:
        config.offline_store.known_at = known_at
    if online_timeout is not None and hasattr(config.online_store, "limit_read_time"):
        config.online_store.limit_read_time(online_timeout)
    # Without this option each read fails during a materialization, and after a killed one until the next. The same
    # option in feature_store.yaml works as well, but makes each command warn that a file registry does not use it.
    config.registry.serve_features_while_materializing = True
    approve_functions_of(config, definitions)
    return FeatureStore(config=config)


def version_folder(definitions: str) -> Path:
    """Return the folder of a version of the definitions: its registry, its SQLite store, its records.

    Args:
        definitions: Id of the version.

    Returns:
        Folder, relative to the data folder.

    Raises:
        PathNameError: The id is no name of a file.
    """
    return VERSIONS / require_path_name(definitions, "id of a version of the feature definitions")


def _select_version(config: RepoConfig, definitions: str) -> None:
    """Select the project of a version; its files are separate, because `feast teardown` deletes files."""
    config.project = f"{config.project}_{definitions}"
    folder = version_folder(definitions)
    if "://" not in config.registry.path:
        config.registry.path = str(folder / Path(config.registry.path).name)
    if config.online_store.type == "sqlite":
        config.online_store.path = str(folder / Path(config.online_store.path).name)
