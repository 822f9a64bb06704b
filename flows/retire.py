"""Retire versions of the feature definitions that no model needs. `python -m flows.retire`."""

from typing import TYPE_CHECKING

from prefect import flow

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_table
from flows._cli import run_flow
from flows._tasks import task

if TYPE_CHECKING:
    from holdfast.model_versions.definition_retirement import RetireResult


@task(name="retire definitions")
def retire_definitions_task(settings: Settings, definitions: str | None = None, reason: str = "") -> "RetireResult":
    """Delete the online values and the registry of versions of the feature definitions."""
    from holdfast.feature_store.materialization import features_lock
    from holdfast.model_versions.definition_retirement import retire_definitions

    with features_lock(settings):
        result = retire_definitions(settings, definitions, reason)
    rows = [{"version": version, "state": "retired"} for version in result.retired]
    rows += [
        {"version": version, "state": f"needed: {', '.join(reasons)}"} for version, reasons in result.remaining.items()
    ]
    publish_table(rows, key="feature-definitions", description="Versions of the feature definitions")
    return result


@flow(name="retire", flow_run_name="retire", persist_result=False)
def retire(definitions: str | None = None, reason: str = "") -> "RetireResult":
    """Delete the online values and the registry of versions of the feature definitions.

    Args:
        definitions: Id of a version; every version that no model needs when left out.
        reason: Why a version is retired although a model needs it, such as a mistake in a transformation; stored in
            data/feast/versions/retired.jsonl.
    """
    return retire_definitions_task(configure(), definitions, reason)


if __name__ == "__main__":
    run_flow(retire)
