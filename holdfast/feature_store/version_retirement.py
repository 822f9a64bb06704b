"""Retirement of versions of the feature definitions."""

import json
import shutil
from datetime import UTC, datetime

from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import ONLINE_STATE, version_folder
from holdfast.feature_store.definition_versions import find_registered, list_versions
from holdfast.feature_store.missing_versions import missing_version_error, retirements_file

_REMOVED = ".retired-"


def retire_version(settings: Settings, version: str, reason: str) -> None:
    """Delete the registry, the online values and the records of a version. The caller holds the features lock.

    A service that serves a model of the version stops scoring. Snapshots stay.

    Args:
        settings: Settings with the data folder.
        version: Id of the version.
        reason: Why the version is no longer needed, stored in ``retired.jsonl``.

    Raises:
        MissingVersionError: The version is not registered.
    """
    if version not in list_versions(settings):
        raise missing_version_error(settings, version)
    folder, store = settings.data / version_folder(version), find_registered(version)
    if store is not None and store.config.online_store.type != "sqlite":
        (folder / ONLINE_STATE).unlink(missing_ok=True)  # a run that ends here leaves part of the values
        views = store.list_feature_views()
        store.provider.online_store.update(store.config, views, [], [], [], partial=True)
    record = {"version": version, "time": datetime.now(UTC).isoformat(), "reason": reason}
    with retirements_file(settings).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    removed = folder.with_name(f"{_REMOVED}{version}")
    shutil.rmtree(removed, ignore_errors=True)  # of a run that was killed here
    folder.rename(removed)
    shutil.rmtree(removed)
