"""Feature store of this repository."""

from datetime import datetime

from holdfast.feast_stores._feast_imports import FeatureStore, load_repo_config
from holdfast.feast_stores.settings import FEATURE_REPO, FeatureStoreSettings


def open_store(known_at: datetime | None = None, online_timeout: float | None = None) -> FeatureStore:
    """Open the feature store that ``feature_store.yaml``, or the file in ``FEAST_FS_YAML_FILE_PATH``, configures.

    Args:
        known_at: Point-in-time joins read only snapshots of data that had arrived by then; None reads all snapshots.
        online_timeout: Limit of one read of the online store, seconds, unless the configuration has its own.

    Returns:
        The feature store.
    """
    config = load_repo_config(FEATURE_REPO, FeatureStoreSettings.from_environment().config_file)
    if known_at is not None:
        config.offline_store.known_at = known_at
    if online_timeout is not None and hasattr(config.online_store, "limit_read_time"):
        config.online_store.limit_read_time(online_timeout)
    # Without this option each read fails during a materialization, and after a killed one until the next. The same
    # option in feature_store.yaml works as well, but makes each command warn that a file registry does not use it.
    config.registry.serve_features_while_materializing = True
    return FeatureStore(config=config)
