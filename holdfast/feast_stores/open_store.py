"""Opens the feature store of this repository."""

import os
from datetime import datetime
from pathlib import Path

from holdfast.feast_stores._feast_imports import FeatureStore, load_repo_config

FEATURE_REPO = Path(__file__).resolve().parents[2] / "feature_repo"


def open_store(known_at: datetime | None = None, online_timeout: float | None = None) -> FeatureStore:
    """The feature store of this repository, as ``feature_store.yaml`` configures it.

    ``FEAST_FS_YAML_FILE_PATH``, Feast's own variable, names another configuration. With ``known_at``,
    point-in-time joins see only snapshots of data that had arrived by then. ``online_timeout``, seconds, limits
    how long one read waits for the online store, where the configuration does not.
    """
    path = Path(os.environ.get("FEAST_FS_YAML_FILE_PATH") or FEATURE_REPO / "feature_store.yaml")
    config = load_repo_config(FEATURE_REPO, path)
    if known_at is not None:
        config.offline_store.known_at = known_at
    if online_timeout is not None and hasattr(config.online_store, "limit_read_time"):
        config.online_store.limit_read_time(online_timeout)
    # Else every read fails while a materialisation runs, and after a killed one until the next. The same option
    # in feature_store.yaml works as well, but warns at each command that a file registry has no use for it.
    config.registry.serve_features_while_materializing = True
    return FeatureStore(config=config)
