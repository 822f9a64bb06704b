"""Retirement of the versions of the feature definitions that no model needs."""

import contextlib
from dataclasses import dataclass

from feast.errors import FeatureServiceNotFoundException

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import applied_version, list_versions, open_version
from holdfast.feature_store.version_retirement import retire_version
from holdfast.model_versions.definitions_in_use import find_needed_definitions
from holdfast.models.declaration import list_models, load_declaration
from holdfast.training.mlflow_client import open_registry


class StillNeededError(HoldfastError):
    """Version of the feature definitions that a model version needs."""


@dataclass(frozen=True)
class RetireResult:
    """Versions of the feature definitions after a retirement.

    Attributes:
        retired: Ids of the versions that were deleted.
        remaining: Id of each other version to what needs it.
    """

    retired: list[str]
    remaining: dict[str, list[str]]

    def summary(self) -> str:
        """Describe the retirement, one line per version.

        Returns:
            The lines.
        """
        lines = [f"Retired version {version} of the feature definitions." for version in self.retired]
        lines += [f"Version {version} stays: {', '.join(reasons)}." for version, reasons in self.remaining.items()]
        return "\n".join(lines)


def retire_definitions(settings: Settings, definitions: str | None = None, reason: str = "") -> RetireResult:
    """Retire one version, or every version that nothing needs. The caller holds the features lock.

    Args:
        settings: Settings with the data folder and the model registry.
        definitions: Id of a version; None for every version that nothing needs.
        reason: Why a version is retired although a model needs it.

    Returns:
        The retired and the remaining versions.

    Raises:
        MissingVersionError: The version is not registered.
        StillNeededError: The version is needed, and there is no reason.
    """
    versions = list_versions(settings)
    if definitions is not None and definitions not in versions:
        open_version(settings, definitions)  # raises, with what is known about the version
    needed: dict[str, list[str]] = {}
    for model in list_models() if versions else []:
        client = open_registry(settings, load_declaration(model).registered_name)
        for version, roles in find_needed_definitions(client).items():
            needed.setdefault(version, []).extend(roles)
    with contextlib.suppress(FeatureServiceNotFoundException):  # after `feast teardown`
        needed.setdefault(applied_version(open_store()), []).append("the applied definitions")
    if definitions in needed and not reason:
        raise StillNeededError(
            f"Version {definitions} of the feature definitions is needed: {', '.join(needed[definitions])}. A "
            "service that serves one of these models stops scoring when it is retired. To retire it anyway, give a "
            "reason: `--reason`."
        )
    chosen = [definitions] if definitions else [version for version in versions if version not in needed]
    for version in chosen:
        retire_version(settings, version, reason or "no model version needs it")
    return RetireResult(chosen, {version: needed.get(version, []) for version in versions if version not in chosen})
