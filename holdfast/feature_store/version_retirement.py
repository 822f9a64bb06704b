"""Retirement of versions of the feature definitions."""

import json
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from feature_repo.settings import Settings
from holdfast.feast_stores.installation import claim_installation
from holdfast.feast_stores.open_store import ONLINE_STATE, open_store, version_folder
from holdfast.feature_store.definition_versions import find_registered, has_shared_registry, list_versions
from holdfast.feature_store.missing_versions import missing_version_error, retirements_file
from holdfast.feature_store.store_outages import explain_outage

if TYPE_CHECKING:
    from feast.infra.registry.base_registry import BaseRegistry

_REMOVED = ".retired-"


@explain_outage()
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
    claim_installation(settings)
    folder, store = settings.data / version_folder(version), find_registered(version)
    if store is not None and store.config.online_store.type != "sqlite":
        (folder / ONLINE_STATE).unlink(missing_ok=True)  # a run that ends here leaves part of the values
        views = store.list_feature_views()
        store.provider.online_store.update(store.config, views, [], [], [], partial=True)
    record = {"version": version, "time": datetime.now(UTC).isoformat(), "reason": reason}
    retirements_file(settings).parent.mkdir(parents=True, exist_ok=True)
    with retirements_file(settings).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    removed = folder.with_name(f"{_REMOVED}{version}")
    shutil.rmtree(removed, ignore_errors=True)  # of a run that was killed here
    if folder.exists():
        folder.rename(removed)
        shutil.rmtree(removed)
    applied = open_store()
    if has_shared_registry(applied):
        _delete_project(applied.registry, f"{applied.project}_{version}")


def _delete_project(registry: "BaseRegistry", project: str) -> None:
    """Delete a project at the end of a retirement, so that one that is interrupted can be repeated."""
    for view in registry.list_all_feature_views(project):  # deletes their history too, unlike the next call
        registry.delete_feature_view(view.name, project)
    registry.delete_project(project)
