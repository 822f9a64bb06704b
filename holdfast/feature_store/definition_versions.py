"""Versions of the feature definitions: each is a Feast project that never changes.

`feast apply` changes the project of ``feature_store.yaml``. A version is a copy of what the feature service of that
project needs, in a project named after the version's id, with its own registry file and online tables. Its data sources
hold the compiled transformations and Feast stores its on-demand functions, so a version is built, compared and served
whatever the code of today is. Models with the same version share its values.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from feast import FeatureStore, Project
from google.protobuf.message import DecodeError

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from holdfast.core.definition_hashes import (
    definitions_version,
    feature_fingerprint,
    list_on_demand_views,
    list_stored_views,
)
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores.open_store import ONLINE_STATE, VERSIONS, open_store, version_folder
from holdfast.feature_store.definition_checks import check_definitions
from holdfast.feature_store.missing_versions import MissingVersionError, missing_version_error
from holdfast.feature_store.store_outages import explain_outage


class ConcurrentApplyError(HoldfastError):
    """Definitions that another process changed while they were read."""


def applied_version(store: FeatureStore) -> str:
    """Compute the id of the definitions in Feast's registry.

    Args:
        store: Feast store of the registry.

    Returns:
        Id of the version, which may not be registered yet.
    """
    return definitions_version(feature_fingerprint(store))


@explain_outage()
def register_version(store: FeatureStore) -> str:
    """Register the applied definitions as a version, unless it is registered. The caller holds the features lock.

    Tags that have no effect on values, such as ``soft_limit_hours``, are brought up to date.

    Args:
        store: Feast store of the registry.

    Returns:
        Id of the version.

    Raises:
        ConcurrentApplyError: Another process applied other definitions meanwhile.
        EntityKeyError: As :func:`check_definitions`, of definitions that `feast apply` applied.
        FeatureNameError: As :func:`check_definitions`.
    """
    check_definitions(store.list_entities(), store.list_all_feature_views(), store.list_feature_services())
    version = applied_version(store)
    copy = find_registered(version)
    if copy is None:
        _delete_damaged(Settings.from_environment(), version)
        copy = open_store(definitions=version)
    elif _tags(copy) == _tags(store):
        return version
    definitions = _copy_definitions(store, copy)
    if applied_version(store) != version:
        raise ConcurrentApplyError(
            "Other feature definitions were applied while this run registered a version of them. Nothing was "
            "registered. Run `python -m flows.features` again, in the checkout with the intended definitions."
        )
    copy.apply(definitions)
    return version


@explain_outage()
def list_versions(settings: Settings) -> list[str]:
    """List the registered versions, also those whose registry file was damaged after their features were built.

    Args:
        settings: Settings with the data folder.

    Returns:
        Ids, sorted.
    """
    store = open_store()
    if has_shared_registry(store):
        prefix = f"{store.project}_"
        names = [project.name for project in store.list_projects() if project.name.startswith(prefix)]
        versions = [name.removeprefix(prefix) for name in names]
    else:
        versions = [path.name for path in (settings.data / VERSIONS).glob("[!.]*") if path.is_dir()]
    return sorted(
        version
        for version in versions
        if (settings.data / version_folder(version) / ONLINE_STATE).exists() or find_registered(version)
    )


def has_shared_registry(store: FeatureStore) -> bool:
    """Check whether one registry holds all versions, such as an SQL registry, and not one file each.

    Args:
        store: Any store of the configuration.

    Returns:
        True for a registry that is no file of the data folder.
    """
    return "://" in store.config.registry.path


@explain_outage()
def open_version(settings: Settings, version: str, known_at: datetime | None = None) -> FeatureStore:
    """Open the store of a registered version.

    Args:
        settings: Settings with the data folder.
        version: Id of the version.
        known_at: As in :func:`open_store`.

    Returns:
        The feature store.

    Raises:
        MissingVersionError: The version is not registered.
        RetiredVersionError: The version was retired.
    """
    if version not in list_versions(settings):
        raise missing_version_error(settings, version)
    if find_registered(version) is None:
        raise MissingVersionError(
            f"The Feast registry of version {version} of the feature definitions, in "
            f"{settings.data / version_folder(version)}, is missing or damaged. Check out the code that its models "
            "were trained with and run `python -m flows.features` there, which writes it again; or delete the version: "
            f"`python -m flows.retire --definitions {version} --reason REASON`."
        )
    return open_store(known_at, definitions=version)


@contextmanager
def explain_retirement(settings: Settings, version: str) -> Iterator[None]:
    """Convert the error of a block that reads a version, where the version was retired meanwhile.

    Args:
        settings: Settings with the data folder.
        version: Id of the version.

    Yields:
        Nothing.

    Raises:
        RetiredVersionError: The block failed, and the version was retired.
    """
    try:
        yield
    except HoldfastError:
        raise
    except Exception:
        open_version(settings, version)
        raise


def find_registered(version: str) -> FeatureStore | None:
    """Open the store of a version, unless its registry is missing, damaged or was not written to its end.

    Args:
        version: Id of the version.

    Returns:
        The feature store, or None.
    """
    applied = open_store()
    if has_shared_registry(applied) and not _has_service(applied, f"{applied.project}_{version}"):
        return None  # a store that is opened would register the name of its project
    try:
        store = open_store(definitions=version)
        return store if _has_service(store, store.project) else None
    except DecodeError:
        return None


def _has_service(store: FeatureStore, project: str) -> bool:
    """Check whether a project has the feature service, the last object that a registration writes."""
    return FEATURE_SERVICE in [service.name for service in store.registry.list_feature_services(project)]


def _delete_damaged(settings: Settings, version: str) -> None:
    """Delete what would hinder the registration of a version: a damaged registry, and the record of its values."""
    folder, store = settings.data / version_folder(version), open_store()
    (folder / ONLINE_STATE).unlink(missing_ok=True)
    if not has_shared_registry(store):
        (folder / Path(store.config.registry.path).name).unlink(missing_ok=True)


def _tags(store: FeatureStore) -> dict[str, dict[str, str]]:
    return {view.name: view.tags for view in (*list_stored_views(store), *list_on_demand_views(store))}


def _copy_definitions(store: FeatureStore, copy: FeatureStore) -> list[Any]:
    views = list_stored_views(store)
    materialized = {view.name: view.materialization_intervals for view in copy.list_feature_views()}
    for view in views:
        view.materialization_intervals = materialized.get(view.name, [])  # not those of the other project
    names = {name for view in views for name in view.entities}
    return [
        Project(name=copy.project, description=f"Version of the definitions of {store.project}."),
        *(entity for entity in store.list_entities() if entity.name in names),
        *(view.batch_source for view in views if view.batch_source),
        *views,
        *list_on_demand_views(store),
        store.get_feature_service(FEATURE_SERVICE),
    ]
