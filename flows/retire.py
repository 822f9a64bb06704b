"""Retire versions of the feature definitions that no model needs. `python -m flows.retire`."""

import contextlib
from dataclasses import dataclass

from prefect import flow
from prefect.artifacts import create_table_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._cli import run_flow
from flows._tasks import task
from holdfast.core.errors import HoldfastError


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


@task(name="retire definitions")
def retire_definitions_task(settings: Settings, definitions: str | None = None, reason: str = "") -> RetireResult:
    """Delete the online values and the registry of versions of the feature definitions."""
    from feast.errors import FeatureServiceNotFoundException

    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.definition_versions import applied_version, list_versions, open_version
    from holdfast.feature_store.materialization import features_lock
    from holdfast.feature_store.version_retirement import retire_version
    from holdfast.model_versions.definitions_in_use import find_needed_definitions
    from holdfast.training.mlflow_client import open_registry

    with features_lock(settings):
        versions = list_versions(settings)
        if definitions is not None and definitions not in versions:
            open_version(settings, definitions)  # raises, with what is known about the version
        needed = find_needed_definitions(open_registry(settings)) if versions else {}
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
    remaining = {version: needed.get(version, []) for version in versions if version not in chosen}
    rows = [{"version": version, "state": "retired"} for version in chosen]
    rows += [{"version": version, "state": f"needed: {', '.join(why)}"} for version, why in remaining.items()]
    create_table_artifact(rows, key="feature-definitions", description="Versions of the feature definitions")
    return RetireResult(chosen, remaining)


@flow(name="retire", flow_run_name="retire", persist_result=False)
def retire(definitions: str | None = None, reason: str = "") -> RetireResult:
    """Delete the online values and the registry of versions of the feature definitions.

    Args:
        definitions: Id of a version; every version that no model needs when left out.
        reason: Why a version is retired although a model needs it, such as a mistake in a transformation; stored in
            data/feast/versions/retired.jsonl.
    """
    return retire_definitions_task(configure(), definitions, reason)


if __name__ == "__main__":
    run_flow(retire)
